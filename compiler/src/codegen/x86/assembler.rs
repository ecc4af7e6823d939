//! Assembler: encodes a list of instructions, followed by a pool of the constants that they
//! read.

use iced_x86::{Code, Encoder, Instruction, MemoryOperand, OpKind, Register as Reg};
use rustc_hash::FxHashMap;

use crate::error::Error;

/// A memory operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// [`Reg::RIP`] for constants; then the displacement is an offset in the pool.
    pub base: Reg,
    pub displacement: i64,
    /// For gathers and scatters: the vector of byte offsets, one for
    /// each lane.
    pub lanes: Option<Reg>,
    /// Whether one element is broadcast to all lanes.
    pub broadcast: bool,
}

impl Memory {
    pub fn at(base: Reg, displacement: i64) -> Memory {
        Memory { base, displacement, lanes: None, broadcast: false }
    }

    fn operand(self) -> MemoryOperand {
        let size = match (self.base, self.displacement) {
            (Reg::RIP, _) => 8,
            (_, 0) => 0,
            _ => 1,
        };
        let Memory { base, displacement, lanes, broadcast } = self;
        let lanes = lanes.unwrap_or(Reg::None);
        MemoryOperand::new(base, lanes, 1, displacement, size, broadcast, Reg::None)
    }
}

/// The last operand of most instructions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    Register(Reg),
    Memory(Memory),
}

/// A jump target in the code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label(usize);

#[derive(Clone, Debug)]
enum Item {
    Instruction(Instruction),
    Jump(Code, Label),
    Label(Label),
}

/// Instructions, and constants.
#[derive(Default)]
pub(super) struct Assembler {
    items: Vec<Item>,
    labels: usize,
    pool: Vec<u32>,
    known: FxHashMap<Vec<u32>, i64>,
    /// The first mistake: operands that the instruction does not take.
    mistake: Option<String>,
    last: Instruction,
}

/// Instructions with this many operands of these types.
macro_rules! with {
    ($($name:ident = $with:ident($($x:ident: $T:ty),*);)*) => {$(
        pub fn $name(&mut self, code: Code, $($x: $T),*) -> &mut Instruction {
            self.push(Instruction::$with(code, $($x),*))
        }
    )*};
}

impl Assembler {
    /// With capacity for the code of a program of this number of instructions.
    pub fn with_capacity(instructions: usize) -> Assembler {
        Assembler { items: Vec::with_capacity(instructions + 64), ..Assembler::default() }
    }

    with! {
        rr = with2(a: Reg, b: Reg);
        ri = with2(a: Reg, b: i32);
        rl = with2(a: Reg, b: i64);
        rri = with3(a: Reg, b: Reg, c: i32);
        one = with1(a: Reg);
    }

    /// An instruction without operands.
    pub fn none(&mut self, code: Code) {
        self.push(Ok(Instruction::with(code)));
    }

    /// `op a, b`
    pub fn ro(&mut self, code: Code, a: Reg, b: Operand) -> &mut Instruction {
        self.push(match b {
            Operand::Register(b) => Instruction::with2(code, a, b),
            Operand::Memory(b) => Instruction::with2(code, a, b.operand()),
        })
    }

    /// `op a, b, c`
    pub fn rro(&mut self, code: Code, a: Reg, b: Reg, c: Operand) -> &mut Instruction {
        self.push(match c {
            Operand::Register(c) => Instruction::with3(code, a, b, c),
            Operand::Memory(c) => Instruction::with3(code, a, b, c.operand()),
        })
    }

    /// `op a, b, c, number`
    pub fn rroi(&mut self, code: Code, a: Reg, b: Reg, c: Operand, i: i32) -> &mut Instruction {
        self.push(match c {
            Operand::Register(c) => Instruction::with4(code, a, b, c, i),
            Operand::Memory(c) => Instruction::with4(code, a, b, c.operand(), i),
        })
    }

    /// `op a, b, c, d`
    pub fn rror(&mut self, code: Code, a: Reg, b: Reg, c: Operand, d: Reg) -> &mut Instruction {
        self.push(match c {
            Operand::Register(c) => Instruction::with4(code, a, b, c, d),
            Operand::Memory(c) => Instruction::with4(code, a, b, c.operand(), d),
        })
    }

    /// `op [memory], a`
    pub fn mr(&mut self, code: Code, to: Memory, a: Reg) -> &mut Instruction {
        self.push(Instruction::with2(code, to.operand(), a))
    }

    /// `op [memory], number`
    pub fn mi(&mut self, code: Code, to: Memory, i: i32) -> &mut Instruction {
        self.push(Instruction::with2(code, to.operand(), i))
    }

    /// `op [memory]`
    pub fn m(&mut self, code: Code, to: Memory) -> &mut Instruction {
        self.push(Instruction::with1(code, to.operand()))
    }

    /// `op [memory], a, b`
    pub fn mrr(&mut self, code: Code, to: Memory, a: Reg, b: Reg) -> &mut Instruction {
        self.push(Instruction::with3(code, to.operand(), a, b))
    }

    /// `op [memory], a, number`
    pub fn mri(&mut self, code: Code, to: Memory, a: Reg, i: i32) -> &mut Instruction {
        self.push(Instruction::with3(code, to.operand(), a, i))
    }

    /// `op a, [memory], b`
    pub fn rmr(&mut self, code: Code, a: Reg, from: Memory, b: Reg) -> &mut Instruction {
        self.push(Instruction::with3(code, a, from.operand(), b))
    }

    /// `op a, [memory], number`
    pub fn rmi(&mut self, code: Code, a: Reg, from: Memory, i: i32) -> &mut Instruction {
        self.push(Instruction::with3(code, a, from.operand(), i))
    }

    fn push(&mut self, instruction: Result<Instruction, iced_x86::IcedError>) -> &mut Instruction {
        match instruction {
            Ok(instruction) => self.items.push(Item::Instruction(instruction)),
            Err(error) => {
                self.mistake.get_or_insert(error.to_string());
            }
        }
        match self.items.last_mut() {
            Some(Item::Instruction(instruction)) => instruction,
            _ => &mut self.last,
        }
    }

    /// A new label, to be placed later.
    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    /// Places a label here.
    pub fn place(&mut self, label: Label) {
        self.items.push(Item::Label(label));
    }

    /// A jump by an instruction with a 32-bit distance.
    pub fn jump(&mut self, code: Code, to: Label) {
        self.items.push(Item::Jump(code, to));
    }

    /// An operand in the pool with these constants, aligned to its size.
    pub fn constant(&mut self, lanes: &[u32]) -> Memory {
        if let Some(known) = self.known.get(lanes) {
            return Memory::at(Reg::RIP, *known);
        }
        self.pool.resize(self.pool.len().next_multiple_of(lanes.len()), 0);
        let offset = 4 * self.pool.len() as i64;
        self.pool.extend(lanes);
        self.known.insert(lanes.to_vec(), offset);
        Memory::at(Reg::RIP, offset)
    }

    /// The bytes of a function: prologue, list, epilogue, constants; and the size of the code
    /// alone.
    pub fn assemble(
        mut self,
        before: Assembler,
        after: Assembler,
    ) -> Result<(Vec<u8>, usize), Error> {
        for list in [&before, &self, &after] {
            if let Some(mistake) = &list.mistake {
                return Err(Error::Codegen(mistake.clone()));
            }
        }
        let items = before.items.len() + self.items.len() + after.items.len();
        let mut encoder =
            Encoder::try_with_capacity(64, BYTES_OF_AN_INSTRUCTION * items).map_err(refused)?;
        let mut labels = vec![None; self.labels];
        // Relative distances to fill in: offset, end of the instruction, target.
        let (mut jumps, mut constants) = (Vec::new(), Vec::new());
        let mut at = 0u64;
        let items = before.items.into_iter().chain(self.items.drain(..)).chain(after.items);
        for item in items {
            match item {
                Item::Label(label) => labels[label.0] = Some(at),
                Item::Jump(code, label) => {
                    let jump = Instruction::with_branch(code, at).map_err(refused)?;
                    at += encoder.encode(&jump, at).map_err(refused)? as u64;
                    jumps.push((at, label));
                }
                Item::Instruction(mut instruction) => {
                    let constant = instruction.memory_base() == Reg::RIP;
                    let offset = instruction.memory_displacement64();
                    if constant {
                        instruction.set_memory_displacement64(at);
                    }
                    let start = at;
                    at += encoder.encode(&instruction, at).map_err(refused)? as u64;
                    if constant {
                        let field = encoder.get_constant_offsets().displacement_offset();
                        constants.push((start as usize + field, at, offset));
                    }
                }
            }
        }
        let mut bytes = encoder.take_buffer();
        let code = bytes.len();
        bytes.resize(code.next_multiple_of(64), 0);
        let pool = bytes.len() as i64;
        for (end, label) in jumps {
            let to = labels[label.0].ok_or_else(|| Error::Codegen("a jump to nowhere".into()))?;
            write(&mut bytes, end as usize - 4, to as i64 - end as i64)?;
        }
        for (field, end, offset) in constants {
            write(&mut bytes, field, pool + offset as i64 - end as i64)?;
        }
        bytes.extend(self.pool.iter().flat_map(|lane| lane.to_le_bytes()));
        Ok((bytes, code))
    }

    /// The instructions by the names of their encodings, for printouts.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            match item {
                Item::Label(label) => text += &format!("{label:?}:\n"),
                Item::Jump(code, label) => text += &format!("  {code:?} {label:?}\n"),
                Item::Instruction(i) => {
                    text += &format!("  {:?}", i.code());
                    for operand in 0..i.op_count() {
                        text += &match i.op_kind(operand) {
                            OpKind::Register => format!(" {:?}", i.op_register(operand)),
                            OpKind::Memory => {
                                let by = i.memory_displacement64() as i64;
                                format!(" [{:?} + {by}]", i.memory_base())
                            }
                            _ => format!(" {:#x}", i.immediate(operand)),
                        };
                    }
                    text.push('\n');
                }
            }
        }
        text
    }
}

/// The typical size of a long instruction, for the capacity of the buffer.
const BYTES_OF_AN_INSTRUCTION: usize = 10;

/// Writes a 32-bit distance.
fn write(bytes: &mut [u8], offset: usize, distance: i64) -> Result<(), Error> {
    let distance = i32::try_from(distance)
        .map_err(|_| Error::Codegen("a function of more than 2 GiB".into()))?;
    bytes[offset..offset + 4].copy_from_slice(&distance.to_le_bytes());
    Ok(())
}

fn refused(error: iced_x86::IcedError) -> Error {
    Error::Codegen(error.to_string())
}
