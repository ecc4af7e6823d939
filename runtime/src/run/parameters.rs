//! The parameters of a network: one block of memory that every executable and
//! the interpreter share, views into it, and its initialisation.

use bilro_compiler::buffer::Layout;
use bilro_compiler::declaration::{Declaration, Init, Parameter};
use bilro_compiler::plan::ParameterLayout;
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, IxDyn, ShapeBuilder};

use crate::error::Result;
use crate::memory::{self, AlignedMemory};
use crate::rng::{Generator, init};

/// All parameters of a network.
#[derive(Debug)]
pub(crate) struct Parameters {
    layout: ParameterLayout,
    pub memory: AlignedMemory,
}

impl Parameters {
    /// Initialised parameters. All are drawn from one generator in declared order: PyTorch's
    /// order, and so its values.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if there is not enough for all of them;
    /// then none has been allocated.
    pub fn new(declaration: &Declaration, generator: &mut Generator) -> Result<Parameters> {
        let layout = ParameterLayout::new(&declaration.parameters);
        let what = || format!("the parameters of `{}`", declaration.name);
        let scratch = declaration.parameters.iter().map(scratch).max();
        memory::check::<f32>(what, layout.elements.saturating_add(scratch.unwrap_or(0)))?;
        let mut parameters =
            Parameters { memory: AlignedMemory::new(what, layout.elements)?, layout };
        for (i, parameter) in declaration.parameters.iter().enumerate() {
            let values = initial(parameter, generator);
            parameters.set(i, values.view());
        }
        Ok(parameters)
    }

    /// The layout of each parameter and its offset in the memory.
    pub fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    /// Retains the first `count` parameters, and appends others, each filled with one
    /// number.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory), with the description `what`, if there is
    /// not enough. Then nothing has changed.
    pub fn append(
        &mut self,
        what: impl FnOnce() -> String,
        others: &[Parameter],
        count: usize,
    ) -> Result<()> {
        let all = self.layout.followed_by(count, others);
        let mut memory = AlignedMemory::new(what, all.elements)?;
        let retained = self.layout.start(count).min(self.memory.len());
        memory.as_mut_slice()[..retained].copy_from_slice(&self.memory.as_slice()[..retained]);
        *self = Parameters { layout: all, memory };
        for (i, other) in others.iter().enumerate() {
            let Init::Full(value) = other.init else { continue };
            let (start, layout) = &self.layout.parameters[count + i];
            let memory = &mut self.memory.as_mut_slice()[*start..*start + layout.elements];
            strided_mut(memory, layout).fill(value as f32);
        }
        Ok(())
    }

    /// A copy of the first `count` parameters.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory), with the description `what`, if there is not
    /// enough.
    pub fn try_clone(&self, what: impl Fn() -> String, count: usize) -> Result<Parameters> {
        let layout = self.layout.followed_by(count, &[]);
        memory::check::<f32>(&what, layout.elements)?;
        let mut memory = AlignedMemory::new(what, layout.elements)?;
        memory.as_mut_slice().copy_from_slice(&self.memory.as_slice()[..layout.elements]);
        Ok(Parameters { layout, memory })
    }

    /// Drops all but the first `count` parameters.
    pub fn truncate(&mut self, count: usize) {
        if count >= self.layout.parameters.len() {
            return;
        }
        if self.append(String::new, &[], count).is_err() {
            // Without memory for a copy, the parameters stay in the larger allocation.
            self.layout = self.layout.followed_by(count, &[]);
            self.memory.truncate(self.layout.elements);
        }
    }

    /// The memory of the first `count` parameters.
    pub fn first(&self, count: usize) -> &[f32] {
        &self.memory.as_slice()[..self.layout.start(count)]
    }

    /// The same, mutable.
    pub fn first_mut(&mut self, count: usize) -> &mut [f32] {
        let end = self.layout.start(count);
        &mut self.memory.as_mut_slice()[..end]
    }

    /// A view of a parameter, weights of linear layers as `[in, out]`.
    pub fn view(&self, i: usize) -> ArrayViewD<'_, f32> {
        let (start, layout) = &self.layout.parameters[i];
        let memory = &self.memory.as_slice()[*start..*start + layout.elements];
        strided(memory, layout)
    }

    /// Overwrites a parameter.
    pub fn set(&mut self, i: usize, values: ArrayViewD<'_, f32>) {
        let (start, layout) = self.layout.parameters[i].clone();
        let memory = &mut self.memory.as_mut_slice()[start..start + layout.elements];
        strided_mut(memory, &layout).assign(&values);
    }

    /// Mutable views of all parameters, in declared order, which is that of the memory.
    pub fn views_mut(&mut self) -> Vec<ArrayViewMutD<'_, f32>> {
        let mut remainder = self.memory.as_mut_slice();
        let mut offset = 0;
        let view = |(start, layout): &(usize, Layout)| {
            let (_, from_start) = std::mem::take(&mut remainder).split_at_mut(start - offset);
            let (elements, tail) = from_start.split_at_mut(layout.elements);
            remainder = tail;
            offset = start + layout.elements;
            strided_mut(elements, layout)
        };
        self.layout.parameters.iter().map(view).collect()
    }
}

/// A tensor in memory as an array.
pub(crate) fn strided<'a>(memory: &'a [f32], layout: &Layout) -> ArrayViewD<'a, f32> {
    let shape = IxDyn(&layout.sizes).strides(IxDyn(&layout.strides));
    ArrayViewD::from_shape(shape, memory).expect("a layout is within its elements")
}

/// A tensor in memory as a mutable array.
fn strided_mut<'a>(memory: &'a mut [f32], layout: &Layout) -> ArrayViewMutD<'a, f32> {
    let shape = IxDyn(&layout.sizes).strides(IxDyn(&layout.strides));
    ArrayViewMutD::from_shape(shape, memory).expect("a layout is within its elements")
}

/// Floats of temporary memory to draw a parameter's initial values: the values in the file's
/// order, and the f64 vectors of an orthogonal matrix.
fn scratch(parameter: &Parameter) -> usize {
    let values = memory::elements(&parameter.shape.sizes());
    match parameter.init {
        Init::Orthogonal => values.saturating_mul(3),
        _ => values,
    }
}

/// A parameter's initial values, drawn in the order of a file's axes, which is PyTorch's, so that
/// a seed gives PyTorch's numbers; an orthogonal matrix is drawn as `[out, in]`.
fn initial(parameter: &Parameter, generator: &mut Generator) -> ArrayD<f32> {
    let order = match parameter.init {
        Init::Orthogonal => vec![1, 0],
        _ => parameter.axes_from_file(),
    };
    let sizes = match parameter.init {
        Init::Orthogonal => parameter.shape.sizes().into_iter().rev().collect(),
        _ => parameter.file_sizes(),
    };
    let mut values = vec![0.0; sizes.iter().product()];
    let (fan_in, fan_out) = (parameter.fans.fan_in(), parameter.fans.fan_out());
    match &parameter.init {
        Init::Full(value) => values.fill(*value as f32),
        Init::Uniform(low, high) => init::uniform(generator, &mut values, *low, *high),
        Init::Normal(mean, std) => init::normal(generator, &mut values, *mean, *std),
        Init::XavierUniform => init::xavier_uniform(generator, &mut values, fan_in, fan_out),
        Init::XavierNormal => init::xavier_normal(generator, &mut values, fan_in, fan_out),
        Init::KaimingUniform => init::kaiming_uniform(generator, &mut values, fan_in),
        Init::KaimingNormal => init::kaiming_normal(generator, &mut values, fan_in),
        Init::TruncNormal { mean, std, low, high } => {
            init::trunc_normal(generator, &mut values, *mean, *std, *low, *high)
                .expect("the builder has checked the numbers");
        }
        Init::Orthogonal => {
            init::orthogonal(generator, &mut values, fan_out, fan_in)
                .expect("the builder has checked that it is a matrix");
        }
        Init::Linear => match sizes.len() {
            1 => init::linear_bias(generator, &mut values, fan_in),
            _ => init::linear_weight(generator, &mut values, fan_in),
        },
    }
    let array = ArrayD::from_shape_vec(IxDyn(&sizes), values).expect("the product of the sizes");
    array.permuted_axes(order)
}
