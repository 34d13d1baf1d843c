//! Compares segments with the reference in double precision, for every instruction set.

mod check;
mod networks;
mod operations;
mod views;
