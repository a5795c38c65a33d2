//! Linux error numbers.

/// An error number as `errno` has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident = $value:ident,)*) => {
        impl Errno {
            $(pub const $name: Errno = Errno(libc::$value);)*

            fn name(self) -> Option<&'static str> {
                match self { $(Errno::$name => Some(stringify!($value)),)* _ => None }
            }
        }
    };
}

errnos! {
    ADDRINUSE = EADDRINUSE,
    ADDRNOTAVAIL = EADDRNOTAVAIL,
    AFNOSUPPORT = EAFNOSUPPORT,
    AGAIN = EAGAIN,
    ALREADY = EALREADY,
    BADF = EBADF,
    CONNABORTED = ECONNABORTED,
    CONNREFUSED = ECONNREFUSED,
    CONNRESET = ECONNRESET,
    EXIST = EEXIST,
    FAULT = EFAULT,
    HOSTUNREACH = EHOSTUNREACH,
    INPROGRESS = EINPROGRESS,
    INTR = EINTR,
    INVAL = EINVAL,
    ISCONN = EISCONN,
    MFILE = EMFILE,
    NETUNREACH = ENETUNREACH,
    NOBUFS = ENOBUFS,
    NOENT = ENOENT,
    NOPROTOOPT = ENOPROTOOPT,
    NOSYS = ENOSYS,
    NOTCONN = ENOTCONN,
    NOTSOCK = ENOTSOCK,
    OPNOTSUPP = EOPNOTSUPP,
    PIPE = EPIPE,
    PROTONOSUPPORT = EPROTONOSUPPORT,
    SOCKTNOSUPPORT = ESOCKTNOSUPPORT,
    TIMEDOUT = ETIMEDOUT,
}

impl core::fmt::Debug for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&std::io::Error::from(*self), f)
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for std::io::Error {
    fn from(e: Errno) -> std::io::Error {
        std::io::Error::from_raw_os_error(e.0)
    }
}
