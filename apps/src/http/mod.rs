//! HTTP/1.x as both sides read it: incremental parsers over borrowed bytes.
//!
//! A parser is a few dozen bytes of state, never allocates, never looks back and gives the same result however the
//! stream is cut into segments. It keeps nothing of what it reads but the few facts that decide what happens next.
//! Left out on purpose: everything that neither framing nor routing needs (cookies, ranges, trailers' contents …).

pub mod chunked;
pub mod fields;
pub mod matcher;
pub mod request;
pub mod response;

#[cfg(test)]
mod tests;

/// RFC 9110 5.6.2: the characters of methods and field names.
pub(crate) fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}
