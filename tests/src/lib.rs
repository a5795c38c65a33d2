//! Test rigs shared by the behaviour tests.
