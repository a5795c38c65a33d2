use super::*;
use crate::doctor::Level;

#[test]
fn a_kernel_without_af_xdp_is_a_failure() {
    assert_eq!(kernel((5, 8), "Linux 5.8").level, Level::Fail);
    assert_eq!(kernel((5, 9), "Linux 5.9").level, Level::Ok);
    assert_eq!(kernel((6, 0), "Linux 6.0").level, Level::Ok);
}

#[test]
fn locked_memory_is_judged_by_the_hard_limit_unless_a_capability_lifts_it() {
    let limits =
        |hard: &str| format!("Max processes  1 2 processes\nMax locked memory     65536     {hard}     bytes\n");
    let level = |hard: &str, eff: u64| locked_memory(&limits(hard), &format!("CapEff:\t{eff:016x}\n"), 1 << 20).level;
    assert_eq!(level("8388608", 0), Level::Ok);
    assert_eq!(level("unlimited", 0), Level::Ok);
    assert_eq!(level("65536", 0), Level::Fail);
    assert_eq!(level("65536", 1 << CAP_IPC_LOCK), Level::Ok);
    let said = locked_memory(&limits("65536"), "", 1 << 20);
    assert!(said.what.contains("64.0 KiB") && said.mend.contains("ulimit -l unlimited"), "{said:?}");
}

#[test]
fn what_slows_a_run_down_is_a_warning_with_its_command() {
    assert_eq!((jit("1\n"), jit("")), (None, None));
    assert!(jit("0\n").is_some_and(|f| f.mend.contains("bpf_jit_enable=1")));
    assert_eq!((processors(2, 1).level, processors(2, 2).level), (Level::Ok, Level::Warn));
    assert_eq!(governor(&[0, 1], |_| String::new()), None);
    assert_eq!(governor(&[0, 1], |_| "performance\n".into()).map(|f| f.level), Some(Level::Ok));
    let mixed = governor(&[0, 1], |c| if c == 0 { "performance".into() } else { "powersave".into() });
    assert!(mixed.is_some_and(|f| f.level == Level::Warn && f.what.contains("powersave")));
    assert!(clock("tsc\n").is_none() && clock("").is_none() && clock("hpet\n").is_some());
    assert!(busy("0.30 0.1 0.1 1/99 7", 2).is_none() && busy("1.70 0.1 0.1 1/99 7", 2).is_some());
    assert_eq!(free_memory(Some(1 << 20), 1 << 26).level, Level::Fail);
}

#[test]
fn processors_that_share_a_core_are_named_once() {
    let list = ["0,2\n", "0,2\n", "1,3"].map(str::to_owned).into_iter();
    let said = smt(list).expect("a warning");
    assert!(said.what.contains("0,2 · 1,3"), "{said:?}");
    assert_eq!(smt(["0\n", "1\n"].map(str::to_owned).into_iter()), None);
}

#[test]
fn time_that_the_hypervisor_took_is_a_share_of_all_time() {
    let stat = |idle: u64, steal: u64| format!("cpu  100 0 100 {idle} 0 0 0 {steal} 50 0\ncpu0 1 2 3\n");
    assert_eq!(steal(&stat(1000, 0), &stat(1100, 1)), None);
    assert!(steal(&stat(1000, 0), &stat(1090, 10)).is_some_and(|f| f.what.contains("10 %")));
    assert_eq!(steal("", "nonsense"), None);
}
