//! Sizes of kernels: bounded for every kind of growth, so that a network of four
//! times the length compiles in four times the time. Counted in instructions,
//! independent of the machine's load.

use std::sync::Arc;

use bilro_compiler::declaration::{Builder, Declaration, Init, LossReduction};
use bilro_compiler::graph::NodeId;
use bilro_compiler::ops::{self, AttributeValue, Attributes};
use bilro_compiler::optim::Training;
use bilro_compiler::optim::adam::Adam;
use bilro_compiler::program::Statement;
use bilro_compiler::purpose::Purpose;
use bilro_compiler::shape::{Dim, Shape, Type};
use bilro_compiler::target::{Target, host};
use bilro_tests::check;

/// Features of every value: more than in unrolled rows.
const FEATURES: usize = 20;

/// Maximum number of instructions of a kernel. Cranelift takes some microseconds
/// for each, more in larger functions.
const MOST: usize = 30_000;

/// Kinds of growth of a kernel.
const WAYS: [(&str, Grow); 11] = [
    ("a chain of functions", |n| {
        n.chain(|n, x, _| n.call("tanh", &[x]));
    }),
    ("functions after a product", |n| {
        n.linear();
        n.chain(|n, x, _| n.call("tanh", &[x]));
    }),
    ("cheap functions after a product", |n| {
        n.linear();
        n.chain(|n, x, i| n.call(["relu", "square"][i % 2], &[x]));
    }),
    ("residual additions", |n| {
        n.chain(|n, x, _| {
            let y = n.call("sigmoid", &[x]);
            n.call("add", &[x, y])
        });
    }),
    ("a chain of rows", |n| {
        n.chain(|n, x, _| n.call("softmax", &[x]));
    }),
    ("rows side by side", |n| {
        let first = n.x;
        n.chain(|n, x, i| {
            let y = n.scaled(first, i);
            let y = n.call("softmax", &[y]);
            n.call("add", &[x, y])
        });
    }),
    ("outputs of a product", |n| {
        n.linear();
        let first = n.x;
        n.chain(|n, x, i| {
            let y = n.scaled(first, i);
            let y = n.call("tanh", &[y]);
            n.b.output(&format!("y{i}"), y).unwrap();
            n.call("add", &[x, y])
        });
    }),
    ("inputs added up", |n| {
        n.chain(|n, x, i| {
            let other = n.b.input(&format!("x{i}"), Type::real(Shape::batched([FEATURES])));
            n.call("add", &[x, other.unwrap()])
        });
        n.linear();
    }),
    ("parameters for all examples", |n| {
        n.chain(|n, x, i| {
            let p = n.parameter(i, &[FEATURES]);
            let y = n.call("mul", &[x, p]);
            n.call("add", &[y, p])
        });
    }),
    ("single numbers as parameters", |n| {
        n.chain(|n, x, i| {
            let p = n.parameter(i, &[]);
            n.call("mul", &[x, p])
        });
    }),
    ("sums over the batch side by side", |n| {
        let first = n.x;
        n.chain(|n, x, i| {
            let p = n.parameter(i, &[FEATURES]);
            let y = n.call("mul", &[first, p]);
            let y = n.call("tanh", &[y]);
            n.call("add", &[x, y])
        });
    }),
];

type Grow = fn(&mut Growing);

/// A network while it grows.
struct Growing {
    b: Builder,
    x: NodeId,
    length: usize,
}

impl Growing {
    fn network(grow: Grow, length: usize) -> Declaration {
        let mut b = Builder::new("Growing");
        let x = b.input("x", Type::real(Shape::batched([FEATURES]))).unwrap();
        b.differentiate(x).unwrap();
        let mut growing = Growing { b, x, length };
        grow(&mut growing);
        let Growing { mut b, x, .. } = growing;
        b.output("y", x).unwrap();
        b.loss((x, "y"), LossReduction::Mean).unwrap();
        b.finish().unwrap()
    }

    fn chain(&mut self, link: impl Fn(&mut Growing, NodeId, usize) -> NodeId) {
        for i in 0..self.length {
            self.x = link(self, self.x, i);
        }
    }

    fn call(&mut self, function: &str, x: &[NodeId]) -> NodeId {
        let x: Vec<_> = x.iter().map(|x| (*x, "x")).collect();
        self.b.call(function, &x, Attributes::new()).unwrap()
    }

    fn scaled(&mut self, x: NodeId, i: usize) -> NodeId {
        let factor = self.b.number(1.0 + i as f64 / 64.0);
        self.call("mul", &[x, factor])
    }

    fn parameter(&mut self, i: usize, dims: &[usize]) -> NodeId {
        self.b.parameter(&format!("p{i}"), dims.iter().copied(), Init::Uniform(-1.0, 1.0)).unwrap()
    }

    fn linear(&mut self) {
        let size = AttributeValue::Size(Dim::Fixed(FEATURES));
        let attributes = Attributes::new().with("out_features", size);
        let linear = self.b.layer(None, "Linear", &attributes).unwrap();
        self.x = self.b.apply(linear, (self.x, "x")).unwrap();
    }
}

/// Numbers of instructions of a step: of the largest kernel, and of all.
fn instructions(network: &Declaration, target: &Target) -> (usize, usize) {
    fn count(body: &[Statement]) -> usize {
        let statement = |statement: &Statement| match statement {
            Statement::Loop(l) => count(&l.body),
            Statement::Do(_) => 1,
        };
        body.iter().map(statement).sum()
    }
    let adam = Arc::new(Training::from(Adam::new(0.01)));
    let lowered = check::lower_network(network, &Purpose::Step(adam.clone()), 40, target).unwrap();
    let counts = || lowered.artifact.programs.iter().map(|program| count(&program.body));
    (counts().max().unwrap_or(0), counts().sum())
}

#[test]
fn kernel_sizes_are_bounded() {
    const SHORT: usize = 100;
    const TIMES: usize = 4;
    for (way, grow) in WAYS {
        let [short, long] = [SHORT, TIMES * SHORT].map(|n| Growing::network(grow, n));
        for target in [host::baseline(), Target::AVX512] {
            let (_, small) = instructions(&short, &target);
            let (largest, large) = instructions(&long, &target);
            println!("{way}, {}: {small} to {large}, at most {largest}", target.name);
            assert!(largest <= MOST, "{way}, {}: a kernel has {largest} instructions", target.name);
            let is_linear = large <= (TIMES + 1) * small;
            assert!(is_linear, "{way}, {}: {small} instructions become {large}", target.name);
        }
    }
}

/// Ten thousand class weights are read from memory, and do not enlarge a kernel.
#[test]
fn declared_numbers_do_not_enlarge_kernels() {
    let cross_entropy = ops::find("cross_entropy").unwrap();
    let sizes = [100, 10_000].map(|classes| {
        let samples = (cross_entropy.samples)(classes);
        let weighs = |sample: &&ops::Sample| sample.op.describe().contains("weight");
        let sample = samples.iter().find(weighs).unwrap();
        let case = check::case(sample, 2, 1);
        let lowered = check::lowered(&case, &host::baseline());
        let expected = check::interpreted::<f64>(&case);
        for (found, expected) in check::jitted(&case, &lowered).iter().zip(&expected) {
            check::assert_close("weights", found, expected, check::bound(2 * classes));
        }
        lowered.fused.kernels.iter().map(|kernel| kernel.formulas.len()).max().unwrap()
    });
    assert_eq!(sizes[0], sizes[1]);
}
