//! Machine code against the evaluator, bit for bit.
