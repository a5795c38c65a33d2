//! Files whose bytes are sent, or expected. Read once, however many runs there are: a pipe has nothing the second time.

use crate::cli::LoadArgs;
use crate::failure::Failure;
use crate::http::request::GENERATED_BYTES_MAX;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub struct Bodies {
    /// Of each request.
    pub sent: Vec<u8>,
    /// Of each successful response, for as long as the program runs; `None`: any.
    pub expected: Option<&'static [u8]>,
}

impl Bodies {
    pub fn read(args: &LoadArgs) -> Result<Bodies, Failure> {
        let sent = args.request.body_file.as_deref().map(|path| file(path, "--body-file")).transpose()?;
        let expected = args.expect_body.as_deref().map(|path| file(path, "--expect-body")).transpose()?;
        Ok(Bodies { sent: sent.unwrap_or_default(), expected: expected.map(|bytes| &*bytes.leak()) })
    }
}

fn file(path: &Path, option: &str) -> Result<Vec<u8>, Failure> {
    let bytes = File::open(path).and_then(|file| up_to(u64::from(GENERATED_BYTES_MAX), file)).map_err(|e| {
        let next = format!("Name a file that can be read with {option}.");
        Failure::new(format!("cannot read {}: {e}", path.display()), next)
    })?;
    bytes.ok_or_else(|| {
        let next = format!("Name a smaller file with {option}.");
        Failure::new(format!("{} has more than the 1GiB that a body may have", path.display()), next)
    })
}

/// `None`: there are more.
fn up_to(bytes_max: u64, from: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_too_long_is_refused_and_one_that_just_fits_is_whole() {
        assert_eq!(up_to(4, &b"1234"[..]).unwrap().as_deref(), Some(&b"1234"[..]));
        assert_eq!(up_to(4, &b"12345"[..]).unwrap(), None);
        assert_eq!(up_to(4, io::repeat(0)).unwrap(), None);
    }
}
