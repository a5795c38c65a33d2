//! Files that a report goes into. A file appears whole or not at all; what is no file (a device, a FIFO) is written to as
//! it is.

use crate::failure::Failure;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Links that are followed from one to the next, as many as the kernel does.
const LINKS_MAX: u32 = 40;
/// So long the reader of a FIFO may take to come, if it is started along with us.
const READER_COMES: Duration = Duration::from_secs(1);
/// A reader that takes nothing for so long takes nothing any more.
const READER_TAKES: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

/// A place that a report goes to at the end of a run.
pub struct Destination {
    path: PathBuf,
    option: &'static str,
    /// Open from the beginning on, so that its reader waits as long as the run lasts.
    fifo: Option<File>,
}

impl Destination {
    /// Refuses a place that cannot be written before the run begins rather than after it. `option` has named it.
    pub fn reserve(path: &Path, option: &'static str) -> Result<Destination, Failure> {
        check_place(path, option)?;
        let fifo = open_fifo(path).map_err(|e| cannot_write(path, option, &e))?;
        Ok(Destination { path: path.to_owned(), option, fifo })
    }

    pub fn write(mut self, text: &str) -> Result<(), Failure> {
        let written = match (&mut self.fifo, Place::of(&self.path)) {
            (Some(fifo), _) => write_to_reader(fifo, text.as_bytes(), READER_TAKES),
            (None, Place::File { target, temporary }) => replace(text, &target, &temporary),
            (None, Place::Special) => {
                OpenOptions::new().write(true).open(&self.path).and_then(|mut f| f.write_all(text.as_bytes()))
            }
        };
        written.map_err(|e| self.cannot_write(&e))
    }

    pub fn cannot_write(&self, e: &io::Error) -> Failure {
        cannot_write(&self.path, self.option, e)
    }
}

/// Refuses a place that cannot be written. A FIFO shows that only when it is opened ([`open_fifo`]).
pub fn check_place(path: &Path, option: &str) -> Result<(), Failure> {
    if path.is_dir() {
        let next = format!("Name a file with {option}.");
        return Err(Failure::new(format!("{} is a directory", path.display()), next));
    }
    let tried = match Place::of(path) {
        Place::File { temporary, .. } => create(&temporary).and_then(|_| fs::remove_file(&temporary)),
        Place::Special if is_fifo(path) => Ok(()),
        Place::Special => OpenOptions::new().write(true).open(path).map(drop),
    };
    tried.map_err(|e| cannot_write(path, option, &e))
}

/// A FIFO, opened for writing; `None` if the path is none. Who only opens it waits for a reader, for ever if none comes.
/// Writing never waits either, but fails with [`ErrorKind::WouldBlock`].
///
/// # Errors
/// What the system says, or that nobody reads it.
pub fn open_fifo(path: &Path) -> io::Result<Option<File>> {
    if !is_fifo(path) {
        return Ok(None);
    }
    let start = Instant::now();
    loop {
        match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Err(e) if e.raw_os_error() != Some(libc::ENXIO) => return Err(e),
            Err(_) if start.elapsed() >= READER_COMES => {
                return Err(io::Error::other("nobody reads this FIFO: start its reader first"));
            }
            Err(_) => sleep(LOOK),
            Ok(file) => return Ok(Some(file)),
        }
    }
}

/// Waits while the FIFO is full, but not for ever.
fn write_to_reader(fifo: &mut File, text: &[u8], patience: Duration) -> io::Result<()> {
    let (mut rest, mut since) = (text, Instant::now());
    while !rest.is_empty() {
        match fifo.write(rest) {
            Ok(n) => (rest, since) = (rest.get(n..).unwrap_or(&[]), Instant::now()),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e),
            Err(_) if since.elapsed() >= patience => return Err(reader_is_stuck()),
            Err(_) => sleep(LOOK),
        }
    }
    Ok(())
}

pub fn reader_is_stuck() -> io::Error {
    io::Error::other("the reader of this FIFO takes no more")
}

/// Where a name leads to.
enum Place {
    /// A file, there already or not, and one beside it, so that renaming does not cross file systems.
    File {
        target: PathBuf,
        temporary: PathBuf,
    },
    Special,
}

impl Place {
    fn of(path: &Path) -> Place {
        if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            return Place::Special;
        }
        // To open what is behind too many links says so.
        let Some(target) = behind_links(path) else { return Place::Special };
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        Place::File { target, temporary: PathBuf::from(name) }
    }
}

/// A link stays what it is: the file that it names is written, even if that is not there yet.
fn behind_links(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        if let Ok(found) = fs::canonicalize(&path) {
            return Some(found);
        }
        let Ok(named) = fs::read_link(&path) else { return Some(path) };
        path = path.parent().map_or_else(|| named.clone(), |parent| parent.join(&named));
    }
    None
}

fn is_fifo(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo())
}

/// Never through a link that somebody else has put there.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn replace(text: &str, target: &Path, temporary: &Path) -> io::Result<()> {
    let mut file = create(temporary)?;
    let written =
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(temporary, target));
    written.inspect_err(|_| {
        let _ = fs::remove_file(temporary);
    })
}

pub fn cannot_write(path: &Path, option: &str, e: &io::Error) -> Failure {
    let next = format!("Name a file that can be written with {option}.");
    Failure::new(format!("cannot write {}: {e}", path.display()), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    /// A directory of its own for each test.
    fn directory(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("synfin-file-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(name).collect();
        names.sort();
        names
    }

    fn write(text: &str, path: &Path, option: &'static str) -> Result<(), Failure> {
        Destination::reserve(path, option)?.write(text)
    }

    fn make_fifo(dir: &Path) -> PathBuf {
        let fifo = dir.join("pipe");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        fifo
    }

    #[test]
    fn a_link_stays_and_the_file_that_it_names_is_replaced() {
        let dir = directory("link");
        let (link, file) = (dir.join("latest.json"), dir.join("run-7.json"));
        symlink("today.json", &link).unwrap();
        symlink("run-7.json", dir.join("today.json")).unwrap();
        for text in ["the first, where there was none yet", "the second"] {
            check_place(&link, "--json").unwrap();
            write(text, &link, "--json").unwrap();
            assert!([&link, &dir.join("today.json")].iter().all(|l| fs::symlink_metadata(l).unwrap().is_symlink()));
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(names(&dir), ["latest.json", "run-7.json", "today.json"]);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn links_in_a_circle_are_refused_and_stay() {
        let dir = directory("circle");
        let (one, other) = (dir.join("one.json"), dir.join("other.json"));
        symlink("other.json", &one).unwrap();
        symlink("one.json", &other).unwrap();
        check_place(&one, "--json").unwrap_err();
        write("a report", &one, "--json").unwrap_err();
        assert!(fs::symlink_metadata(&one).unwrap().is_symlink());
        assert_eq!(names(&dir), ["one.json", "other.json"]);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_fifo_gets_the_text_and_stays_a_fifo() {
        let dir = directory("fifo");
        let fifo = make_fifo(&dir);
        let reader = {
            let fifo = fifo.clone();
            std::thread::spawn(move || fs::read_to_string(fifo).unwrap())
        };
        // More than it holds at a time.
        let text = "a report\n".repeat(100_000);
        let place = Destination::reserve(&fifo, "--json").unwrap();
        assert!(!reader.is_finished(), "the reader waits for the end of the run");
        place.write(&text).unwrap();
        assert!(reader.join().unwrap() == text);
        assert!(is_fifo(&fifo));
        assert_eq!(names(&dir), ["pipe"]);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_fifo_that_nobody_reads_is_refused_and_one_whose_reader_is_stuck_does_not_hold_us_up() {
        let dir = directory("unread");
        let fifo = make_fifo(&dir);
        let refused = Destination::reserve(&fifo, "--json").map(drop).unwrap_err().to_string();
        assert!(refused.contains("pipe: nobody reads this FIFO"), "{refused}");
        let _reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
        let mut open = open_fifo(&fifo).unwrap().expect("a FIFO");
        let stuck = write_to_reader(&mut open, &[b'x'; 1 << 20], LOOK).unwrap_err().to_string();
        assert_eq!(stuck, reader_is_stuck().to_string());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_device_is_written_to_and_stays_a_device() {
        let null = Path::new("/dev/null");
        check_place(null, "--json").unwrap();
        write("a report", null, "--json").unwrap();
        assert!(fs::metadata(null).unwrap().file_type().is_char_device());
        let full = write("a report", Path::new("/dev/full"), "--json").unwrap_err().to_string();
        assert!(full.starts_with("cannot write /dev/full: "), "{full}");
    }
}
