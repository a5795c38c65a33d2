//! `--header` and `--method`: what goes into a request as it is, and so must not break it.

use crate::http::is_token_byte;

/// Longer would be a mistake.
const BYTES_MAX: usize = 8192;
/// What says where the body ends is ours to say.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// A field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: String,
}

/// `Name: value`.
pub fn header(text: &str) -> Result<Header, String> {
    let wrong = || format!("'{text}' is no header; write for example 'Accept: text/html'");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(format!("'{name}' cannot be the name of a header"));
    }
    if FRAMING.iter().any(|f| name.eq_ignore_ascii_case(f)) {
        return Err(format!("{name} follows from the body: give that with --body-file"));
    }
    let value = value.trim_matches([' ', '\t']);
    if value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
        return Err(format!("the value of {name} has control characters in it"));
    }
    if text.len() > BYTES_MAX {
        return Err(format!("{name} is longer than {BYTES_MAX} bytes"));
    }
    Ok(Header { name: name.into(), value: value.into() })
}

/// `POST`.
pub fn method(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.bytes().all(is_token_byte) {
        return Err("no method; write for example POST".into());
    }
    match text {
        "HEAD" | "CONNECT" => Err("responses to HEAD and CONNECT have no body, and cannot be read here".into()),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_a_name_and_a_value_that_cannot_break_a_request() {
        let of = |name: &str, value: &str| Ok(Header { name: name.into(), value: value.into() });
        assert_eq!(header("Cookie:  a=1; b=\"c\"\t"), of("Cookie", "a=1; b=\"c\""));
        assert_eq!(header("X-Empty:"), of("X-Empty", ""));
        assert_eq!(header("X-Name: größe"), of("X-Name", "größe"));
        for (text, want) in [
            ("Cookie", "is no header"),
            (": x", "cannot be the name"),
            ("X Y: z", "cannot be the name"),
            ("X: a\r\nEvil: b", "control characters"),
            ("content-length: 5", "--body-file"),
            ("Transfer-Encoding: chunked", "--body-file"),
            (&format!("X: {}", "y".repeat(9000)), "longer than"),
        ] {
            let got = header(text).unwrap_err();
            assert!(got.contains(want), "{text}: {got}");
        }
    }

    #[test]
    fn a_method_is_one_word_whose_responses_can_be_read() {
        assert_eq!(method("POST"), Ok("POST".into()));
        for (text, want) in
            [("", "no method"), ("GET /", "no method"), ("HEAD", "have no body"), ("CONNECT", "no body")]
        {
            assert!(method(text).unwrap_err().contains(want), "{text}");
        }
    }
}
