//! Memory for generated code: floats that begin on a cache line and stay where
//! they are.

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// Floats, the first of them on a cache line.
#[derive(Debug)]
pub(crate) struct Buffer {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// So many zeros.
    pub fn new(len: usize) -> Buffer {
        let spare = LINE / size_of::<f32>();
        let memory = vec![0.0; len + spare];
        let start = memory.as_ptr().align_offset(LINE).min(spare);
        Buffer { memory, start, len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn as_slice(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.len]
    }

    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        let mut copy = Buffer::new(self.len);
        copy.as_mut_slice().copy_from_slice(self.as_slice());
        copy
    }
}
