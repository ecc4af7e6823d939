//! Networks as data: [`Item`]s, each a statement of the language. They lower to the statements that
//! `network!` makes of their text, so that one list is replayed, printed and reduced.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::declaration::statement::{Replay, Statement, ValueRef};
use bilro_compiler::error::{Error, Mistake};
use bilro_compiler::graph::NodeId;
use bilro_compiler::layers;
use bilro_compiler::ops::{AttributeValue, Domain};
use bilro_compiler::shape::Dim;

mod text;

use text::number_text;
pub use text::text;

/// The name of every drawn network.
pub const NAME: &str = "Drawn";

/// A statement. Names are unique in a network, also those in blocks.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `input` or `target`, of integers if there is a bound.
    Input {
        /// The name.
        name: String,
        /// Whether it is a target.
        is_target: bool,
        /// The bound of integers.
        below: Option<usize>,
        /// The shape of one example.
        dims: Vec<usize>,
        /// Whether its gradient is requested.
        grad: bool,
        /// The domain of its values.
        domain: Domain,
    },
    /// `param`.
    Parameter {
        /// The name.
        name: String,
        /// The shape.
        dims: Vec<usize>,
        /// The initialiser.
        init: &'static str,
        /// Its arguments.
        numbers: Vec<f64>,
    },
    /// `layer`, of a kind or of a block.
    Layer {
        /// The name.
        name: String,
        /// The kind, or the block.
        of: Call,
    },
    /// `choice`.
    Choice {
        /// The name.
        name: String,
        /// The alternatives.
        alternatives: Vec<Call>,
    },
    /// `block`.
    Block {
        /// The name.
        name: String,
        /// Its parameters.
        parameters: Vec<String>,
        /// Its statements.
        items: Vec<Item>,
        /// Its value.
        value: String,
    },
    /// `let`.
    Let {
        /// A name for each value.
        names: Vec<String>,
        /// What is called.
        call: Call,
        /// The operands.
        operands: Vec<Operand>,
    },
    /// `output`.
    Output {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
    /// `loss`.
    Loss {
        /// The value.
        value: String,
        /// Whether it is a sum.
        sum: bool,
    },
    /// `metric`.
    Metric {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
}

/// A function, a kind of layer, or the name of a layer, block or choice, with its attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name.
    pub name: String,
    /// The attributes; none for declared names.
    pub attributes: Vec<(String, AttributeValue)>,
}

impl Call {
    /// A call without attributes.
    pub fn of(name: impl Into<String>) -> Call {
        Call { name: name.into(), attributes: Vec::new() }
    }
}

/// An operand of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A value by its name.
    Value(String),
    /// A number, not negative.
    Number(f64),
}

impl Item {
    /// The names that it declares.
    pub fn declares(&self) -> Vec<&str> {
        match self {
            Item::Input { name, .. }
            | Item::Parameter { name, .. }
            | Item::Layer { name, .. }
            | Item::Choice { name, .. }
            | Item::Block { name, .. } => vec![name],
            Item::Let { names, .. } => names.iter().map(String::as_str).collect(),
            Item::Output { .. } | Item::Loss { .. } | Item::Metric { .. } => Vec::new(),
        }
    }

    /// The names that it uses, without those of its own scope.
    pub fn uses(&self) -> Vec<&str> {
        match self {
            Item::Input { .. } | Item::Parameter { .. } => Vec::new(),
            Item::Layer { of, .. } => vec![&of.name],
            Item::Choice { alternatives, .. } => {
                alternatives.iter().map(|call| call.name.as_str()).collect()
            }
            Item::Block { items, value, .. } => {
                let mut uses: Vec<&str> = items.iter().flat_map(Item::uses).collect();
                uses.push(value);
                uses
            }
            Item::Let { call, operands, .. } => {
                let values = operands.iter().filter_map(|x| match x {
                    Operand::Value(name) => Some(name.as_str()),
                    Operand::Number(_) => None,
                });
                std::iter::once(call.name.as_str()).chain(values).collect()
            }
            Item::Output { value, .. } | Item::Loss { value, .. } | Item::Metric { value, .. } => {
                vec![value]
            }
        }
    }
}

/// The meaning of a declared name.
#[derive(Clone, Debug)]
enum Meaning {
    Value(usize),
    Layer(usize),
    Choice {
        number: usize,
        alternatives: Vec<Call>,
    },
    Block(usize),
    /// A use of a block, by its index.
    Use(usize),
}

#[derive(Debug)]
struct BlockUse {
    block: usize,
    module: usize,
    /// Its parameters, layers and uses so far, in order.
    members: Vec<Meaning>,
}

#[derive(Clone, Debug)]
struct BlockItem {
    name: String,
    parameters: Vec<String>,
    items: Vec<Item>,
    value: String,
}

/// Items replayed so far: the builder, and the statements that `network!` makes of the same text.
#[derive(Debug)]
pub struct Lowered {
    /// The replay.
    pub replay: Replay,
    /// The statements.
    pub statements: Vec<Statement<'static>>,
    scope: BTreeMap<String, Meaning>,
    blocks: Vec<BlockItem>,
    uses: Vec<BlockUse>,
    /// The use whose body is replayed, and the index of its next member.
    inside: Option<(usize, usize)>,
}

impl Default for Lowered {
    fn default() -> Lowered {
        Lowered {
            replay: Replay::new(NAME),
            statements: Vec::new(),
            scope: BTreeMap::new(),
            blocks: Vec::new(),
            uses: Vec::new(),
            inside: None,
        }
    }
}

/// The declaration of some items.
///
/// # Errors
/// The first mistake.
pub fn declare(items: &[Item]) -> Result<Declaration, Error> {
    let mistake = |mistake| Error::Declaration { network: NAME.into(), mistake };
    let mut lowered = Lowered::default();
    items.iter().try_for_each(|item| lowered.item(item)).map_err(mistake)?;
    lowered.replay.builder.finish()
}

/// The statements of some items.
///
/// # Errors
/// The first mistake.
pub fn statements(items: &[Item]) -> Result<Vec<Statement<'static>>, Mistake> {
    let mut lowered = Lowered::default();
    items.iter().try_for_each(|item| lowered.item(item))?;
    Ok(lowered.statements)
}

impl Lowered {
    /// Replays an item. After a mistake in a call of a block or a choice, the values before the mistake
    /// stay, without names.
    ///
    /// # Errors
    /// The builder's mistake, or one about an unknown name.
    pub fn item(&mut self, item: &Item) -> Result<(), Mistake> {
        match item {
            Item::Input { name, is_target, below, dims, grad, .. } => {
                let x = self.value(Statement::Input {
                    name: name.clone().into(),
                    is_target: *is_target,
                    below: below.map(Dim::Fixed),
                    dims: fixed(dims),
                })?;
                if *grad {
                    self.statement(Statement::Differentiate { x })?;
                }
                self.scope.insert(name.clone(), Meaning::Value(x));
            }
            Item::Parameter { name, dims, init, numbers } => {
                let meaning = self.member(|all| {
                    let x = all.value(Statement::Parameter {
                        name: name.clone().into(),
                        dims: fixed(dims),
                        init: (*init).into(),
                        numbers: numbers.clone().into(),
                    })?;
                    Ok(Meaning::Value(x))
                })?;
                self.scope.insert(name.clone(), meaning);
            }
            Item::Layer { name, of } => {
                let meaning = self.member(|all| match all.scope.get(&of.name).cloned() {
                    Some(Meaning::Block(block)) => all.new_use(Some(name), block),
                    _ => all.new_layer(Some(name), of),
                })?;
                self.scope.insert(name.clone(), meaning);
            }
            Item::Choice { name, alternatives } => {
                let names = alternatives.iter().map(|call| call.name.clone().into()).collect();
                let choice = Statement::Choice { name: name.clone().into(), alternatives: names };
                let number = self.statement(choice)?.start;
                let alternatives = alternatives.clone();
                self.scope.insert(name.clone(), Meaning::Choice { number, alternatives });
            }
            Item::Block { name, parameters, items, value } => {
                let (parameters, items) = (parameters.clone(), items.clone());
                self.blocks.push(BlockItem {
                    name: name.clone(),
                    parameters,
                    items,
                    value: value.clone(),
                });
                self.scope.insert(name.clone(), Meaning::Block(self.blocks.len() - 1));
            }
            Item::Let { names, call, operands } => {
                let operands: Result<Vec<ValueRef<'static>>, Mistake> =
                    operands.iter().map(|x| self.operand(x)).collect();
                let values = self.call(call, operands?)?;
                if values.len() != names.len() {
                    return Err(Mistake::call("another number of values than of names"));
                }
                for (name, x) in names.iter().zip(values) {
                    self.statement(Statement::Bind { name: name.clone().into(), x })?;
                    self.scope.insert(name.clone(), Meaning::Value(x));
                }
            }
            Item::Output { name, value } => {
                let (x, _) = self.named(value)?;
                self.statement(Statement::Output { name: name.clone().into(), x })?;
            }
            Item::Loss { value, sum } => {
                let x = self.named(value)?;
                self.statement(Statement::Loss { x, sum: *sum })?;
            }
            Item::Metric { name, value } => {
                let x = self.named(value)?;
                self.statement(Statement::Metric { name: name.clone().into(), x })?;
            }
        }
        Ok(())
    }

    /// The node of a name.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        match self.scope.get(name)? {
            Meaning::Value(number) => self.replay.value(*number),
            _ => None,
        }
    }

    fn statement(&mut self, statement: Statement<'static>) -> Result<Range<usize>, Mistake> {
        let created = self.replay.declare(&statement)?;
        self.statements.push(statement);
        Ok(created)
    }

    fn value(&mut self, statement: Statement<'static>) -> Result<usize, Mistake> {
        Ok(self.statement(statement)?.start)
    }

    fn named(&self, name: &str) -> Result<ValueRef<'static>, Mistake> {
        match self.scope.get(name) {
            Some(Meaning::Value(number)) => Ok((*number, Cow::Owned(name.into()))),
            _ => Err(Mistake::call(format!("`{name}` is not a value"))),
        }
    }

    fn operand(&mut self, x: &Operand) -> Result<ValueRef<'static>, Mistake> {
        match x {
            Operand::Value(name) => self.named(name),
            Operand::Number(number) => {
                let x = self.value(Statement::Number { number: *number })?;
                Ok((x, Cow::Owned(number_text(*number))))
            }
        }
    }

    /// A parameter, layer or use of a block's body, created in the first call of its use.
    fn member(
        &mut self,
        make: impl FnOnce(&mut Lowered) -> Result<Meaning, Mistake>,
    ) -> Result<Meaning, Mistake> {
        let Some((use_index, next)) = &mut self.inside else { return make(self) };
        let (use_index, index) = (*use_index, *next);
        *next += 1;
        if let Some(member) = self.uses[use_index].members.get(index) {
            return Ok(member.clone());
        }
        let member = make(self)?;
        self.uses[use_index].members.push(member.clone());
        Ok(member)
    }

    fn new_layer(&mut self, name: Option<&str>, of: &Call) -> Result<Meaning, Mistake> {
        let layer = Statement::Layer {
            name: name.map(|name| name.to_owned().into()),
            kind: of.name.clone().into(),
            attributes: listed(&of.attributes),
        };
        Ok(Meaning::Layer(self.statement(layer)?.start))
    }

    fn new_use(&mut self, name: Option<&str>, block: usize) -> Result<Meaning, Mistake> {
        let kind = self.blocks[block].name.clone().into();
        let name = name.map(|name| name.to_owned().into());
        let module = self.statement(Statement::Module { name, kind })?.start;
        self.uses.push(BlockUse { block, module, members: Vec::new() });
        Ok(Meaning::Use(self.uses.len() - 1))
    }

    fn call(&mut self, call: &Call, x: Vec<ValueRef<'static>>) -> Result<Range<usize>, Mistake> {
        match self.scope.get(&call.name).cloned() {
            Some(Meaning::Layer(layer)) => self.statement(Statement::Apply { layer, x: x.into() }),
            Some(Meaning::Choice { number, alternatives }) => {
                let mut chosen = Vec::new();
                for alternative in &alternatives {
                    let values = self.call(alternative, x.clone())?;
                    chosen.push((values.start, Cow::Owned(alternative.name.clone())));
                }
                self.statement(Statement::Choose { choice: number, x: chosen.into() })
            }
            Some(Meaning::Block(block)) => {
                let made = self.member(|all| all.new_use(None, block))?;
                match made {
                    Meaning::Use(index) => self.body(index, x),
                    _ => Err(Mistake::call("a member of another kind")),
                }
            }
            Some(Meaning::Use(index)) => self.body(index, x),
            Some(Meaning::Value(_)) => Err(Mistake::call("a value is not a function")),
            None if is_kind(&call.name) => {
                let made = self.member(|all| all.new_layer(None, call))?;
                match made {
                    Meaning::Layer(layer) => {
                        self.statement(Statement::Apply { layer, x: x.into() })
                    }
                    _ => Err(Mistake::call("a member of another kind")),
                }
            }
            None => self.statement(Statement::Call {
                function: call.name.clone().into(),
                x: x.into(),
                attributes: listed(&call.attributes),
            }),
        }
    }

    /// Replays the body of a block.
    fn body(&mut self, index: usize, x: Vec<ValueRef<'static>>) -> Result<Range<usize>, Mistake> {
        let BlockUse { block, module, .. } = self.uses[index];
        let body = self.blocks[block].clone();
        if x.len() != body.parameters.len() {
            return Err(Mistake::call("another number of operands than of parameters"));
        }
        let visible =
            |meaning: &Meaning| matches!(meaning, Meaning::Block(other) if *other < block);
        let mut scope = self.scope.clone();
        scope.retain(|_, meaning| visible(meaning));
        for (name, (x, _)) in body.parameters.iter().zip(x) {
            scope.insert(name.clone(), Meaning::Value(x));
        }
        let outer = std::mem::replace(&mut self.scope, scope);
        let outside = self.inside.replace((index, 0));
        let result = (|| {
            self.statement(Statement::Enter { module })?;
            for item in &body.items {
                self.item(item)?;
            }
            self.named(&body.value)
        })();
        let left = self.statement(Statement::Leave {});
        (self.scope, self.inside) = (outer, outside);
        let (x, _) = result?;
        left?;
        Ok(x..x + 1)
    }
}

/// Whether a name is that of a kind of layer.
pub fn is_kind(name: &str) -> bool {
    name.starts_with(char::is_uppercase) && layers::find(name).is_some()
}

fn fixed(dims: &[usize]) -> Cow<'static, [Dim]> {
    dims.iter().copied().map(Dim::Fixed).collect()
}

fn listed(
    attributes: &[(String, AttributeValue)],
) -> Cow<'static, [(Cow<'static, str>, AttributeValue)]> {
    attributes.iter().map(|(name, value)| (name.clone().into(), value.clone())).collect()
}
