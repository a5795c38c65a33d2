//! What a run has shown, for people ([`text`]) and for programs ([`json`]). Both say the same; [`model`] is what they say
//! it from. [`impair`] has both for the impaired link.

pub mod environment;
pub mod impair;
pub mod json;
pub mod model;
pub mod number;
pub mod paint;
pub mod text;

pub use model::Report;
