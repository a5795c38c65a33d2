//! A small eBPF assembler: instructions, labels, jumps.
//!
//! It knows the instructions that a packet filter needs and writes them in the kernel's format
//! (`struct bpf_insn`, Linux UAPI bpf.h). Jumps name a [`Label`], which may be bound before or after; [`Asm::finish`]
//! fills in the distances. It never judges the program: that is the kernel verifier's job.
//!
//! Left out on purpose: stores, atomics, subprograms, a register allocator. The one program here needs none.

/// One eBPF instruction as the kernel takes it (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    pub code: u8,
    /// Destination register in the low four bits, source in the high four.
    pub regs: u8,
    pub offset: i16,
    pub imm: i32,
}

/// A register. R0 returns, R1 to R5 are clobbered by calls, R6 to R9 survive them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
}

/// How much a load takes. The discriminant is the size field of the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Size {
    U8 = 0x10,
    U16 = 0x08,
    U32 = 0x00,
    U64 = 0x18,
}

/// Conditions, all unsigned. The discriminant is the operation field of the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cond {
    Eq = 0x10,
    Gt = 0x20,
    Ne = 0x50,
    Lt = 0xa0,
    Le = 0xb0,
}

/// A place in the program; see [`Asm::label`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// Why a program could not be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsmError {
    /// A jump spans more than the 32767 instructions that its 16-bit offset can say.
    JumpTooFar,
    /// A label was jumped to and never bound: a bug of the generator.
    LabelUnbound,
}

const CLASS_LDX: u8 = 0x01;
const CLASS_LD: u8 = 0x00;
const CLASS_ALU32: u8 = 0x04;
const CLASS_JMP: u8 = 0x05;
const CLASS_JMP32: u8 = 0x06;
const CLASS_ALU64: u8 = 0x07;
const MODE_MEM: u8 = 0x60;
const SOURCE_REG: u8 = 0x08;
const OP_ADD: u8 = 0x00;
const OP_AND: u8 = 0x50;
const OP_MOV: u8 = 0xb0;
const OP_END: u8 = 0xd0;
const OP_CALL: u8 = 0x80;
const OP_EXIT: u8 = 0x90;
/// Source register value of a 64-bit load that makes its immediate a map's file descriptor.
const PSEUDO_MAP_FD: u8 = 1;

/// The program in the making.
#[derive(Default)]
pub struct Asm {
    insns: Vec<Insn>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Asm {
    pub fn new() -> Asm {
        Asm::default()
    }

    /// Instructions so far.
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    /// A new label, not bound yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label stands for the next instruction from now on.
    pub fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.insns.len());
    }

    fn push(&mut self, code: u8, dst: u8, src: u8, offset: i16, imm: i32) {
        self.insns.push(Insn { code, regs: dst | (src << 4), offset, imm });
    }

    pub fn mov(&mut self, dst: Reg, src: Reg) {
        self.push(CLASS_ALU64 | OP_MOV | SOURCE_REG, dst as u8, src as u8, 0, 0);
    }

    /// `dst = imm`, sign-extended to 64 bits.
    pub fn mov_imm(&mut self, dst: Reg, imm: i32) {
        self.push(CLASS_ALU64 | OP_MOV, dst as u8, 0, 0, imm);
    }

    pub fn add_imm(&mut self, dst: Reg, imm: i32) {
        self.push(CLASS_ALU64 | OP_ADD, dst as u8, 0, 0, imm);
    }

    pub fn and_imm(&mut self, dst: Reg, imm: i32) {
        self.push(CLASS_ALU64 | OP_AND, dst as u8, 0, 0, imm);
    }

    /// Turns the low `bits` (16, 32 or 64) from network to host order (the same operation both ways) and clears
    /// those above.
    pub fn network_to_host(&mut self, dst: Reg, bits: i32) {
        self.push(CLASS_ALU32 | OP_END | SOURCE_REG, dst as u8, 0, 0, bits);
    }

    /// `dst = *(size *)(base + offset)`, zero-extended.
    pub fn load(&mut self, size: Size, dst: Reg, base: Reg, offset: i16) {
        self.push(CLASS_LDX | MODE_MEM | size as u8, dst as u8, base as u8, offset, 0);
    }

    /// A 64-bit constant; takes two instruction slots.
    pub fn mov_imm64(&mut self, dst: Reg, value: u64) {
        self.push(CLASS_LD | Size::U64 as u8, dst as u8, 0, 0, value as u32 as i32);
        self.push(0, 0, 0, 0, (value >> 32) as u32 as i32);
    }

    /// The address of a map, named by its file descriptor; takes two instruction slots.
    pub fn mov_map(&mut self, dst: Reg, fd: i32) {
        self.push(CLASS_LD | Size::U64 as u8, dst as u8, PSEUDO_MAP_FD, 0, fd);
        self.push(0, 0, 0, 0, 0);
    }

    fn jump_with(&mut self, code: u8, dst: u8, src: u8, imm: i32, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.push(code, dst, src, 0, imm);
    }

    pub fn jump(&mut self, to: Label) {
        self.jump_with(CLASS_JMP, 0, 0, 0, to);
    }

    /// Jumps if `reg cond imm`, comparing 64 bits with the sign-extended immediate: for values below 2^31.
    pub fn jump_if_imm(&mut self, cond: Cond, reg: Reg, imm: i32, to: Label) {
        self.jump_with(CLASS_JMP | cond as u8, reg as u8, 0, imm, to);
    }

    /// Jumps if `reg cond imm`, comparing the low 32 bits, unsigned.
    pub fn jump_if_imm32(&mut self, cond: Cond, reg: Reg, imm: u32, to: Label) {
        self.jump_with(CLASS_JMP32 | cond as u8, reg as u8, 0, imm as i32, to);
    }

    pub fn jump_if(&mut self, cond: Cond, a: Reg, b: Reg, to: Label) {
        self.jump_with(CLASS_JMP | cond as u8 | SOURCE_REG, a as u8, b as u8, 0, to);
    }

    /// Calls a kernel helper by its number; arguments in R1 to R5, result in R0.
    pub fn call(&mut self, helper: i32) {
        self.push(CLASS_JMP | OP_CALL, 0, 0, 0, helper);
    }

    pub fn exit(&mut self) {
        self.push(CLASS_JMP | OP_EXIT, 0, 0, 0, 0);
    }

    /// The finished program, with every jump's distance filled in.
    pub fn finish(mut self) -> Result<Vec<Insn>, AsmError> {
        for &(at, label) in &self.jumps {
            let target = self.labels[label.0].ok_or(AsmError::LabelUnbound)?;
            // Distances count from the instruction after the jump.
            let distance = target as i64 - at as i64 - 1;
            self.insns[at].offset = i16::try_from(distance).map_err(|_| AsmError::JumpTooFar)?;
        }
        Ok(self.insns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_have_the_kernels_encoding() {
        let mut a = Asm::new();
        a.mov(Reg::R6, Reg::R1);
        a.mov_imm(Reg::R0, 2);
        a.load(Size::U16, Reg::R2, Reg::R9, -2);
        a.network_to_host(Reg::R2, 16);
        a.exit();
        let bytes: Vec<(u8, u8, i16, i32)> =
            a.finish().unwrap().iter().map(|i| (i.code, i.regs, i.offset, i.imm)).collect();
        // As printed by `llvm-objdump -d` for the same statements.
        let expected =
            vec![(0xbf, 0x16, 0, 0), (0xb7, 0x00, 0, 2), (0x69, 0x92, -2, 0), (0xdc, 0x02, 0, 16), (0x95, 0, 0, 0)];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn jumps_reach_labels_before_and_behind_them() {
        let mut a = Asm::new();
        let (start, end) = (a.label(), a.label());
        a.bind(start);
        a.jump_if_imm(Cond::Eq, Reg::R1, 7, end);
        a.jump(start);
        a.bind(end);
        a.exit();
        let program = a.finish().unwrap();
        assert_eq!((program[0].offset, program[1].offset), (1, -2));
    }

    #[test]
    fn constants_of_64_bits_take_two_slots() {
        let mut a = Asm::new();
        a.mov_imm64(Reg::R1, 0x1122_3344_8899_aabb);
        let p = a.finish().unwrap();
        assert_eq!((p[0].code, p[0].imm as u32, p[1].imm as u32), (0x18, 0x8899_aabb, 0x1122_3344));
    }

    #[test]
    fn a_jump_too_far_and_an_unbound_label_are_errors() {
        let mut a = Asm::new();
        let end = a.label();
        a.jump(end);
        (0..32768).for_each(|_| a.mov_imm(Reg::R0, 0));
        a.bind(end);
        a.exit();
        assert_eq!(a.finish(), Err(AsmError::JumpTooFar));
        let mut a = Asm::new();
        let nowhere = a.label();
        a.jump(nowhere);
        assert_eq!(a.finish(), Err(AsmError::LabelUnbound));
    }
}
