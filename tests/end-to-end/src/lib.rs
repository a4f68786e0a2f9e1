//! Nothing of its own: the suite is in `tests/suite`, and this crate keeps its dependencies apart
//! from the product's.
