//! Instantiates blocks. The body of a block is checked at each call: the first call of a use
//! creates its parameters and layers in a module of its own, and further calls of a named use share
//! them.
//!
//! A mistake in the body that occurs in every use is reported once; one that only some uses have is
//! reported with the operands of the first of them.

use std::collections::{HashMap, HashSet};

use bilro_compiler::declaration::statement::Statement as CompilerStatement;
use bilro_compiler::declaration::{find_layer, wrong_count};
use bilro_compiler::error::nearest;
use proc_macro2::{Ident, TokenStream};

use super::recorder::{CallSpans, Operand, Value};
use super::scope::{Inside, Scope};
use super::{Checker, Meaning, Trained, text};
use crate::ast::{Argument, Block, Expr, Named, Statement, StatementKind};
use crate::error::{Mistake, SourceSpan};
use crate::parse::DEEPEST;

/// The limit on uses of blocks, alternatives and repetitions of a network, whose numbers multiply.
const MOST_EXPANSIONS: usize = 4096;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Blocks<'a> {
    declared: Vec<DeclaredBlock<'a>>,
    /// Names visible in the bodies of later blocks: blocks, and names that may be a block's.
    visible: HashMap<String, Meaning>,
    uses: Vec<Use>,
    /// The number of uses, alternatives and repetitions so far.
    expansions: usize,
    /// The number of mistakes in bodies.
    mistakes: usize,
}

/// A block, with the results of checking its uses.
struct DeclaredBlock<'a> {
    block: &'a Block,
    docs: &'a TokenStream,
    is_used: bool,
    /// Whether its body was checked.
    is_checked: bool,
    /// The number of checks with known operands.
    checks: usize,
    faults: Vec<Fault>,
}

/// A mistake in a body.
struct Fault {
    mistake: Mistake,
    /// The number of mistakes before it in the body with the same message.
    index: usize,
    /// The number of checks with known operands that found it.
    checks: usize,
    /// The operands of the first use that has it.
    operands: String,
}

/// A use of a block, with parameters of its own.
struct Use {
    block: usize,
    module: usize,
    path: String,
    /// The members that its body has created so far, in order.
    members: Vec<Member>,
    entered: bool,
}

/// A parameter, layer or use that a body creates; `None` if a mistake hides it.
#[derive(Clone, Copy)]
pub(super) enum Member {
    Parameter(Option<Value>),
    Layer(Option<usize>),
    Use(Option<usize>),
}

impl Blocks<'_> {
    /// Declares a block that could not be parsed.
    pub fn broken(&mut self, name: &str) {
        self.visible.insert(name.into(), Meaning::Unknown);
    }
}

impl<'a> Checker<'a> {
    pub(super) fn block(&mut self, block: &'a Block, docs: &'a TokenStream) {
        let index = self.blocks.declared.len();
        self.blocks.declared.push(DeclaredBlock {
            block,
            docs,
            is_used: false,
            is_checked: false,
            checks: 0,
            faults: Vec::new(),
        });
        if self.is_new(&block.name) {
            self.blocks.visible.insert(text(&block.name), Meaning::Block(index));
        }
        self.declare(&block.name, Meaning::Block(index));
    }

    /// The meaning, in the body of a block, of a name that is declared outside of it.
    pub(super) fn meaning_in_blocks(&self, key: &str) -> Option<Meaning> {
        self.scope.inside?;
        self.blocks.visible.get(key).copied().filter(|meaning| self.is_visible(*meaning))
    }

    /// The blocks that are visible in the current body.
    pub(super) fn visible_blocks(&self) -> impl Iterator<Item = (&str, Meaning)> {
        let in_body = self.scope.inside.is_some();
        let visible = self.blocks.visible.iter().map(|(name, meaning)| (&**name, *meaning));
        visible.filter(move |(_, meaning)| in_body && self.is_visible(*meaning))
    }

    fn is_visible(&self, meaning: Meaning) -> bool {
        match (meaning, self.scope.inside) {
            (Meaning::Block(block), Some(inside)) => block < inside.block,
            _ => true,
        }
    }

    /// The message for a name that the network declares, but that is not visible in this body.
    pub(super) fn outside(&self, key: &str) -> Option<String> {
        let block = text(&self.blocks.declared[self.scope.inside?.block].block.name);
        let statements = &self.network.statements;
        let statement = statements.iter().find(|s| s.declares().iter().any(|n| text(n) == key))?;
        Some(match &statement.kind {
            StatementKind::Block(_) if key == block => format!("block `{key}` cannot use itself"),
            StatementKind::Block(_) => format!("`{key}` is used before it is declared"),
            _ => format!(
                "`{key}` is declared outside of block `{block}`, whose body can use its parameters and \
                 its own names only"
            ),
        })
    }

    /// Marks a block as used.
    pub(super) fn mark_used(&mut self, block: usize) {
        self.blocks.declared[block].is_used = true;
    }

    /// The block of which a `layer` statement declares a use: `None` if it declares a layer,
    /// `Some(None)` if a mistake hides the block.
    pub(super) fn block_of_layer(&mut self, layer: &Named) -> Option<Option<usize>> {
        let key = text(&layer.name);
        let message = match self.meaning(&key) {
            Some(Meaning::Block(block)) => {
                self.mark_used(block);
                if layer.arguments.as_deref().is_none_or(<[Argument]>::is_empty) {
                    return Some(Some(block));
                }
                format!("`{key}` is a block: a use of it is named without arguments, as `{key}()`")
            }
            Some(Meaning::Unknown) => return Some(None),
            _ if find_layer(&key).is_ok() => return None,
            None if self.scope.declared.contains(&key) => {
                format!("`{key}` is used before it is declared")
            }
            None => match (self.outside(&key), nearest(&key, self.names(is_block))) {
                (Some(message), _) => message,
                (None, Some(near)) => {
                    format!("there is no layer `{key}`; did you mean the block `{near}`?")
                }
                // It may be a block whose declaration could not be parsed.
                (None, None) if self.scope.incomplete => return Some(None),
                (None, None) => return None,
            },
            Some(_) => return None,
        };
        self.mistake(Mistake::new(layer.name.span(), message));
        Some(None)
    }

    /// Creates a use of a block; its index and its name.
    pub(super) fn new_use(&mut self, name: Option<&str>, block: usize) -> (usize, String) {
        let kind = text(&self.blocks.declared[block].block.name);
        let statement = CompilerStatement::Module {
            name: name.map(|name| name.to_owned().into()),
            kind: kind.into(),
        };
        let span = self.blocks.declared[block].block.name.span();
        let module = self.recorder.declare(statement, &CallSpans::at(span)).map_or(0, |m| m.start);
        let name = self.recorder.module_name(module).to_owned();
        let path = self.path(&name);
        self.blocks.uses.push(Use { block, module, path, members: Vec::new(), entered: false });
        (self.blocks.uses.len() - 1, name)
    }

    /// Creates a use of a block without a declared name; `callee` has the span of the call.
    pub(super) fn unnamed_use(&mut self, block: usize, callee: &Ident) -> Option<usize> {
        let made = self.member(|checker| {
            let (index, name) = checker.new_use(None, block);
            checker.trained.push(Trained {
                path: checker.path(&name),
                name: Ident::new(&name, callee.span()),
                docs: checker.blocks.declared[block].docs.clone(),
                array: None,
            });
            Member::Use(Some(index))
        });
        match made {
            Member::Use(index) => index,
            _ => None,
        }
    }

    /// The qualified name in the network: `residual1.fc`.
    pub(super) fn path(&self, name: &str) -> String {
        match self.scope.inside {
            Some(inside) => format!("{}.{name}", self.blocks.uses[inside.use_index].path),
            None => name.into(),
        }
    }

    /// The next member of the current body: created by `make` in the first call of its use, shared
    /// in further ones.
    pub(super) fn member(&mut self, make: impl FnOnce(&mut Self) -> Member) -> Member {
        let Some(inside) = &mut self.scope.inside else { return make(self) };
        let (use_index, index) = (inside.use_index, inside.next_member);
        inside.next_member += 1;
        if let Some(member) = self.blocks.uses[use_index].members.get(index) {
            return *member;
        }
        let member = make(self);
        self.blocks.uses[use_index].members.push(member);
        member
    }

    /// Counts a use, an alternative or a repetition; `false` beyond the limit.
    pub(super) fn count_expansion(&mut self, span: SourceSpan) -> bool {
        self.blocks.expansions += 1;
        if self.blocks.expansions == MOST_EXPANSIONS + 1 {
            let message = format!(
                "blocks, choices and repetitions of this network expand to more than \
                 {MOST_EXPANSIONS} uses"
            );
            self.mistake(Mistake::new(span, message));
        }
        self.blocks.expansions <= MOST_EXPANSIONS
    }

    /// Calls a block or a use of one.
    pub(super) fn call_block(
        &mut self,
        name: &Ident,
        meaning: Meaning,
        operands: Vec<Operand>,
        named: Option<&Ident>,
    ) -> Option<Value> {
        let key = text(name);
        let block = match meaning {
            Meaning::Block(block) => block,
            Meaning::Use(index) => self.blocks.uses[index?].block,
            _ => return None,
        };
        let declared: &'a Block = self.blocks.declared[block].block;
        let takes: Vec<String> = declared.parameters.iter().map(text).collect();
        let shown = format!("{key}({})", takes.join(", "));
        if let Some(named) = named {
            let message = format!("`{key}` takes values without names: it is called as `{shown}`");
            self.mistake(Mistake::new(named.span(), message));
            return None;
        }
        if operands.len() != takes.len() {
            let message = wrong_count(&key, takes.len(), operands.len(), &shown);
            self.mistake(Mistake::new(name.span(), message));
            return None;
        }
        let use_index = match meaning {
            Meaning::Use(index) => index?,
            _ => self.unnamed_use(block, name)?,
        };
        if !self.count_expansion(name.span().into()) {
            return None;
        }
        if self.depth + depth(declared) > DEEPEST {
            let message = format!("`{key}` is nested too deeply here: blocks use blocks");
            self.mistake(Mistake::new(name.span(), message));
            return None;
        }
        self.body(block, use_index, operands)
    }

    /// Checks the body of a block for these operands; its value.
    fn body(&mut self, block: usize, use_index: usize, operands: Vec<Operand>) -> Option<Value> {
        let Block { statements, parameters, value, incomplete, .. } =
            self.blocks.declared[block].block;
        let described = parameters.iter().zip(&operands);
        let described: Vec<String> =
            described.map(|(name, x)| format!("`{}` is `{}`", text(name), x.text)).collect();
        let are_known = operands.iter().all(|x| x.value.is_some());
        let (before, count_before) = (self.recorder.mistakes.len(), self.mistake_count());
        let mut scope = Scope::new(statements, *incomplete || self.network.incomplete);
        scope.inside = Some(Inside { block, use_index, next_member: 0 });
        let outer = std::mem::replace(&mut self.scope, scope);
        let Use { module, entered, .. } = &mut self.blocks.uses[use_index];
        let spans = CallSpans::at(self.network.name.span());
        self.recorder.declare(CompilerStatement::Enter { module: *module }, &spans);
        if !std::mem::replace(entered, true) {
            self.reserve(statements);
        }
        for (name, x) in parameters.iter().zip(operands) {
            self.declare(name, Meaning::Value(x.value));
        }
        for statement in statements {
            self.statement(statement);
        }
        let has_value = value.is_some();
        let value = value.as_ref().and_then(|x| self.value(x));
        if !self.scope.incomplete {
            let is_right = has_value && self.mistake_count() == count_before;
            if is_right {
                self.unused_values(parameters);
            }
            self.unused_in(statements, is_right);
        }
        self.recorder.declare(CompilerStatement::Leave {}, &spans);
        self.scope = outer;
        let mistakes = self.recorder.mistakes.split_off(before);
        self.blocks.mistakes += mistakes.len();
        self.blocks.declared[block].record_check(mistakes, &described.join(", "), are_known);
        value
    }

    /// The number of mistakes so far, in bodies as well.
    pub(super) fn mistake_count(&self) -> usize {
        self.recorder.mistakes.len() + self.blocks.mistakes
    }

    /// Adds the mistakes in bodies to those of the network.
    pub(super) fn report_body_mistakes(&mut self) {
        for block in &mut self.blocks.declared {
            for Fault { mut mistake, checks, operands, .. } in block.faults.drain(..) {
                if (1..block.checks).contains(&checks) && !operands.is_empty() {
                    mistake.message += &format!(" (where {operands})");
                }
                self.recorder.mistakes.push(mistake);
            }
        }
    }

    /// Reports unused blocks, unless that may follow from another mistake.
    pub(super) fn unused_blocks(&mut self) {
        let declared = &self.blocks.declared;
        let is_unsure =
            |b: &&DeclaredBlock<'_>| !b.is_checked || b.block.incomplete || !b.faults.is_empty();
        let unsure: Vec<&Block> = declared.iter().filter(is_unsure).map(|b| b.block).collect();
        let mut seen = HashSet::new();
        let mut mistakes = Vec::new();
        for DeclaredBlock { block, is_used, .. } in declared {
            let key = text(&block.name);
            let mentions = |other: &&Block| {
                !std::ptr::eq(*other, *block) && other.mentioned.iter().any(|n| text(n) == key)
            };
            let is_used = *is_used || self.scope.used.contains(&key) || unsure.iter().any(mentions);
            if seen.insert(key.clone()) && !is_used {
                let message = format!("block `{key}` is never used");
                mistakes.push(Mistake::new(block.name.span(), message));
            }
        }
        self.recorder.mistakes.extend(mistakes);
    }
}

impl DeclaredBlock<'_> {
    /// Records the mistakes of one check, counted only if its operands are known.
    fn record_check(&mut self, mistakes: Vec<Mistake>, operands: &str, are_known: bool) {
        let increment = usize::from(are_known);
        self.is_checked = true;
        self.checks += increment;
        let mut same: HashMap<String, usize> = HashMap::new();
        for mistake in mistakes {
            let count = same.entry(mistake.message.clone()).or_default();
            let index = *count;
            *count += 1;
            let is_same = |f: &&mut Fault| f.index == index && f.mistake.message == mistake.message;
            match self.faults.iter_mut().find(is_same) {
                Some(fault) => fault.checks += increment,
                None => {
                    let operands = operands.into();
                    self.faults.push(Fault { mistake, index, checks: increment, operands });
                }
            }
        }
    }
}

fn is_block(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Block(_))
}

/// The largest depth of the expressions of a body.
fn depth(block: &Block) -> usize {
    let depth_of = |statement: &Statement| match &statement.kind {
        StatementKind::Let { value, .. } | StatementKind::Several { value, .. } => value.depth,
        _ => 0,
    };
    let value = block.value.as_ref().map_or(0, |x: &Expr| x.depth);
    block.statements.iter().map(depth_of).max().unwrap_or(0).max(value)
}
