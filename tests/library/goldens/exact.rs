//! Identities, to the bit, by a kernel of each kind: so PyTorch's values hold
//! before and after them too.

use bilro_compiler::eval::Value;
use bilro_compiler::graph::NodeId;
use bilro_compiler::ops::contract::Contract;
use bilro_compiler::ops::input::Input;
use bilro_compiler::shape::{Shape, Type};
use bilro_tests::check::Case;

/// See the [module](self). Values that do not fit are unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exact {
    /// Times the identity matrix.
    Product,
    /// Minus zero times the sum of the row.
    Rows,
    /// Added to zeros along another axis.
    Columns,
    /// The rows of a table in order.
    Gather,
    /// Each row added to one of a table.
    Scatter,
}

impl Exact {
    /// All of them.
    pub const ALL: [Exact; 5] =
        [Exact::Product, Exact::Rows, Exact::Columns, Exact::Gather, Exact::Scatter];

    /// Whether it applies to values with a batch: tables have none.
    pub fn serves(self, batched: bool) -> bool {
        !batched || !matches!(self, Exact::Gather | Exact::Scatter)
    }

    /// The next one, for a following value.
    pub fn next(self) -> Exact {
        let index = Exact::ALL.iter().position(|exact| *exact == self).unwrap_or(0);
        Exact::ALL[(index + 2) % Exact::ALL.len()]
    }

    /// A value passed through its kernel.
    pub fn through(self, case: &mut Case, x: NodeId) -> NodeId {
        let shape = case.graph.shape(x).clone();
        let (batched, dims) = (shape.batched, shape.sizes());
        let Some((columns, outer)) = dims.split_last().filter(|_| case.graph.ty(x).is_real())
        else {
            return x;
        };
        let rows: usize = outer.iter().product();
        let order = || (0..rows as u32).collect::<Vec<u32>>();
        match self {
            Exact::Product => {
                let mut one = vec![0.0; columns * columns];
                one.iter_mut().step_by(columns + 1).for_each(|x| *x = 1.0);
                let one = real(case, &[*columns, *columns], one);
                let contracted = vec![(outer.len(), 0)];
                let product = Contract { shared: Vec::new(), contracted, over_batch: false };
                case.graph.apply(product, &[x, one])
            }
            Exact::Rows => {
                let zero = real(case, &[1], vec![0.0]);
                let g = &mut case.graph;
                let sum = g.sum_axis(x, outer.len());
                let nothing = g.mul(sum, zero);
                g.sub(x, nothing)
            }
            Exact::Columns => {
                let first = real(case, &[2, 1], vec![1.0, 0.0]);
                let g = &mut case.graph;
                let size = rows * columns;
                let flat = g.reshape(x, &Shape { batched, dims: vec![1.into(), size.into()] });
                let pair = g.mul(flat, first);
                let sum = g.sum_axis(pair, 0);
                g.reshape(sum, &shape)
            }
            _ if !self.serves(batched) => Exact::Product.through(case, x),
            Exact::Gather => {
                let index = indices(case, order());
                let g = &mut case.graph;
                let table = g.reshape(x, &Shape::unbatched([rows, *columns]));
                let rows = g.gather(table, index);
                g.reshape(rows, &shape)
            }
            Exact::Scatter => {
                let index = indices(case, order());
                let g = &mut case.graph;
                let values = g.reshape(x, &Shape::unbatched([rows, *columns]));
                let table = g.scatter_add(values, index);
                g.reshape(table, &shape)
            }
        }
    }
}

fn real(case: &mut Case, dims: &[usize], elements: Vec<f32>) -> NodeId {
    let ty = Type::real(Shape::unbatched(dims.iter().copied()));
    input(case, ty, Value::real(dims, elements))
}

fn indices(case: &mut Case, rows: Vec<u32>) -> NodeId {
    let count = rows.len();
    input(case, Type::index(count, Shape::unbatched([count])), Value::index(&[count], rows))
}

fn input(case: &mut Case, ty: Type, value: Value<f32>) -> NodeId {
    case.inputs.push(value);
    case.graph.apply(Input { index: case.inputs.len() - 1, ty }, &[])
}
