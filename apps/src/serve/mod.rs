//! What `synfin serve` serves. Each application is an engine `App` with its state per connection kept small; what
//! they count is one [`Tally`].

pub mod answers;
pub mod chargen;
pub mod discard;
pub mod echo;
pub mod http;
pub mod tally;

pub use tally::Tally;
