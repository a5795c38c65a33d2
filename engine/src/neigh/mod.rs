//! neigh
