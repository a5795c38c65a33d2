//! Files that say what is sent, or expected. Read once, however many runs there are: a pipe has nothing the second time.

use crate::cli::{LoadArgs, values};
use crate::failure::Failure;
use crate::http::request::GENERATED_BYTES_MAX;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const PATH_FILE: &str = "--path-file";

pub struct Inputs {
    /// What is requested, in turn.
    pub paths: Vec<String>,
    /// Body of each request.
    pub sent: Vec<u8>,
    /// Body of each successful response, for as long as the program runs; `None`: any.
    pub expected: Option<&'static [u8]>,
}

impl Inputs {
    pub fn read(args: &LoadArgs) -> Result<Inputs, Failure> {
        let given = &args.request;
        let sent = given.body_file.as_deref().map(|path| file(path, "--body-file")).transpose()?.unwrap_or_default();
        let expected = args.expect_body.as_deref().map(|path| file(path, "--expect-body")).transpose()?;
        let paths = match given.path_file.as_deref() {
            Some(name) => paths(name, &file(name, PATH_FILE)?)?,
            None => vec![given.path.clone().unwrap_or_else(|| "/".into())],
        };
        // Each request is kept whole.
        if (paths.len() * args.target.len()) as u64 * sent.len() as u64 > u64::from(GENERATED_BYTES_MAX) {
            let what = format!("{} paths, each with the body of --body-file, take more than 1GiB", paths.len());
            return Err(Failure::new(what, "Name fewer paths with --path-file, or a smaller body."));
        }
        Ok(Inputs { paths, sent, expected: expected.map(|bytes| &*bytes.leak()) })
    }
}

/// One a line; empty lines are none.
fn paths(name: &Path, bytes: &[u8]) -> Result<Vec<String>, Failure> {
    let next = format!("Name a file with a path on each line with {PATH_FILE}.");
    let wrong = |what: &str| Failure::new(format!("{}{what}", name.display()), &*next);
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(" is no text"))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
    let of_line = |(n, line): (usize, &str)| values::path(line).map_err(|e| wrong(&format!(", line {n}: {e}")));
    let paths: Vec<String> = lines.map(of_line).collect::<Result<_, _>>()?;
    if paths.is_empty() { Err(wrong(" has no path in it")) } else { Ok(paths) }
}

fn file(path: &Path, option: &str) -> Result<Vec<u8>, Failure> {
    let bytes = File::open(path).and_then(|file| up_to(u64::from(GENERATED_BYTES_MAX), file)).map_err(|e| {
        let next = format!("Name a file that can be read with {option}.");
        Failure::new(format!("cannot read {}: {e}", path.display()), next)
    })?;
    bytes.ok_or_else(|| {
        let next = format!("Name a smaller file with {option}.");
        Failure::new(format!("{} has more than 1GiB", path.display()), next)
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

    #[test]
    fn paths_come_one_a_line_and_what_is_none_is_refused_with_its_place() {
        let read = |text: &[u8]| paths(Path::new("list"), text).map_err(|e| e.what);
        assert_eq!(read(b"/\n\n/a?b=1\r\n/c"), Ok(vec!["/".into(), "/a?b=1".into(), "/c".into()]));
        assert_eq!(read(b"/\n\na/b\n"), Err("list, line 3: a path begins with '/'".into()));
        assert_eq!(
            read(b"/a b"),
            Err("list, line 1: spaces, control and non-ASCII characters must be percent-encoded".into())
        );
        assert_eq!(read(b"\n"), Err("list has no path in it".into()));
        assert_eq!(read(b"/\xff"), Err("list is no text".into()));
    }
}
