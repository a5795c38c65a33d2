//! The HTTP request that is sent, as it is asked for.

use crate::cli::header::Header;

/// What every request consists of, the target's name apart.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub paths: Vec<String>,
    /// In place of our own of the same name, and beside each other.
    pub headers: Vec<Header>,
    /// Empty: none.
    pub body: Vec<u8>,
}

impl Request {
    pub fn get(path: &str) -> Request {
        Request { method: "GET".into(), paths: vec![path.into()], headers: Vec::new(), body: Vec::new() }
    }

    /// For each path. `host`: the target as it goes into the Host field.
    pub fn each(&self, host: &str) -> impl Iterator<Item = Vec<u8>> {
        self.paths.iter().map(move |path| self.bytes(host, path))
    }

    fn bytes(&self, host: &str, path: &str) -> Vec<u8> {
        let mut text = format!("{} {path} HTTP/1.1\r\n", self.method);
        let length = self.body.len().to_string();
        // Who sends no body but might (RFC 9110 8.6) says so.
        let has_length = !self.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&&*self.method);
        let mut own = vec![("Host", host), ("User-Agent", "synfin"), ("Accept", "*/*")];
        own.extend(has_length.then_some(("Content-Length", &*length)));
        own.retain(|(name, _)| !self.headers.iter().any(|h| h.name.eq_ignore_ascii_case(name)));
        let asked = self.headers.iter().map(|h| (&*h.name, &*h.value));
        own.into_iter().chain(asked).for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::header::header;
    use crate::http::request::{Outcome, RequestParser};

    fn text(request: &Request) -> String {
        String::from_utf8(request.bytes("a:80", &request.paths[0])).expect("ASCII")
    }

    #[test]
    fn headers_come_in_place_of_our_own_and_beside_each_other() {
        let mut request = Request::get("/x?y=1");
        let plain = "GET /x?y=1 HTTP/1.1\r\nHost: a:80\r\nUser-Agent: synfin\r\nAccept: */*\r\n\r\n";
        assert_eq!(text(&request), plain);
        request.headers =
            ["host: www.example", "Cookie: a=1", "Cookie: b=2"].map(|h| header(h).expect("a header")).to_vec();
        assert_eq!(
            text(&request),
            "GET /x?y=1 HTTP/1.1\r\nUser-Agent: synfin\r\nAccept: */*\r\nhost: www.example\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n"
        );
    }

    #[test]
    fn a_body_follows_with_its_length() {
        let post = Request { method: "POST".into(), body: b"a=1\n".to_vec(), ..Request::get("/") };
        assert!(text(&post).ends_with("\r\nContent-Length: 4\r\n\r\na=1\n"));
        let empty = Request { method: "POST".into(), ..Request::get("/") };
        assert!(text(&empty).ends_with("\r\nContent-Length: 0\r\n\r\n"));
        let mut parser = RequestParser::default();
        let bytes = post.bytes("a:80", "/");
        let (n, outcome) = parser.feed(&bytes);
        assert!(
            n == bytes.len() && matches!(outcome, Outcome::Request(_)),
            "a server reads all of it: {n} {outcome:?}"
        );
    }
}
