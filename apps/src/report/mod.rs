//! What a run has shown, for people ([`text`]; [`html`] with charts) and for programs ([`json`]). All say the same;
//! [`model`] is what they say it from. [`csv`] has the run over time, as it goes on; [`impair`] is the impaired link's.

pub mod chart;
pub mod csv;
pub mod environment;
pub mod file;
pub mod hdr;
pub mod html;
pub mod impair;
pub mod json;
pub mod model;
pub mod number;
pub mod paint;
pub mod text;

pub use model::Report;

#[cfg(test)]
mod described_tests;
#[cfg(test)]
mod html_tests;
