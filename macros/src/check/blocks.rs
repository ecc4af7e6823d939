//! Blocks. The body of a block is looked at once for each time that it is used: what it declares
//! is made for the first time in a module of its own, and is there again when a use with a name is
//! used again.
//!
//! A mistake in a body that every use has is the body's, and told once; one that only some uses
//! have is told with what the first of them was given.

use std::collections::{HashMap, HashSet};

use bilro_compiler::declaration::statement::Statement as Declaration;
use bilro_compiler::declaration::{find_layer, wrong_count};
use bilro_compiler::error::nearest;
use proc_macro2::{Ident, TokenStream};

use super::recorder::{Blame, Operand, Value};
use super::scope::{Inside, Scope};
use super::{Checker, Meaning, Trained, text};
use crate::ast::{Argument, Block, Expr, Named, Statement, StatementKind};
use crate::error::{Mistake, Place};
use crate::parse::DEEPEST;

/// How many uses of blocks, alternatives and repetitions a network may have: they multiply.
const MOST: usize = 4096;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Blocks<'a> {
    all: Vec<Declared<'a>>,
    /// What the bodies of other blocks see: blocks, and names that may be a block's.
    seen: HashMap<String, Meaning>,
    uses: Vec<Use>,
    /// How many uses, alternatives and repetitions there were.
    work: usize,
    /// How many mistakes were found in bodies.
    found: usize,
}

/// A block, and what came of its uses.
struct Declared<'a> {
    block: &'a Block,
    docs: &'a TokenStream,
    /// Something refers to it.
    used: bool,
    /// Its body was looked at.
    seen: bool,
    /// How often, with values that no mistake hides.
    times: usize,
    faults: Vec<Fault>,
}

/// A mistake in a body.
struct Fault {
    mistake: Mistake,
    /// How many before it say the same of other places.
    before: usize,
    /// How many times it was found, of those that count.
    times: usize,
    /// What was given when it was first.
    given: String,
}

/// A use of a block, with parameters of its own.
struct Use {
    block: usize,
    module: usize,
    path: String,
    /// What its body makes, in order, as far as it has been made.
    members: Vec<Member>,
    entered: bool,
}

/// What a body makes; `None` where a mistake hides it.
#[derive(Clone, Copy)]
pub(super) enum Member {
    Parameter(Option<Value>),
    Layer(Option<usize>),
    Use(Option<usize>),
}

impl Blocks<'_> {
    /// A block that could not be read.
    pub fn broken(&mut self, name: &str) {
        self.seen.insert(name.into(), Meaning::Unknown);
    }
}

impl<'a> Checker<'a> {
    pub(super) fn block(&mut self, block: &'a Block, docs: &'a TokenStream) {
        let at = self.blocks.all.len();
        let faults = Vec::new();
        self.blocks.all.push(Declared { block, docs, used: false, seen: false, times: 0, faults });
        if self.is_new(&block.name) {
            self.blocks.seen.insert(text(&block.name), Meaning::Block(at));
        }
        self.declare(&block.name, Meaning::Block(at));
    }

    /// What a name that is not the body's own means in it.
    pub(super) fn meaning_in_blocks(&self, key: &str) -> Option<Meaning> {
        self.scope.inside?;
        self.blocks.seen.get(key).copied().filter(|meaning| self.is_seen(*meaning))
    }

    /// The blocks that a body sees.
    pub(super) fn seen_blocks(&self) -> impl Iterator<Item = (&str, Meaning)> {
        let in_body = self.scope.inside.is_some();
        let seen = self.blocks.seen.iter().map(|(name, meaning)| (&**name, *meaning));
        seen.filter(move |(_, meaning)| in_body && self.is_seen(*meaning))
    }

    fn is_seen(&self, meaning: Meaning) -> bool {
        match (meaning, self.scope.inside) {
            (Meaning::Block(block), Some(inside)) => block < inside.block,
            _ => true,
        }
    }

    /// What is wrong with a name that a body does not see, if the network declares it.
    pub(super) fn outside(&self, key: &str) -> Option<String> {
        let own = text(&self.blocks.all[self.scope.inside?.block].block.name);
        let statements = &self.network.statements;
        let statement = statements.iter().find(|s| s.declares().iter().any(|n| text(n) == key))?;
        Some(match &statement.kind {
            StatementKind::Block(_) if key == own => format!("block `{key}` cannot use itself"),
            StatementKind::Block(_) => format!("`{key}` is used before it is declared"),
            _ => format!(
                "`{key}` is declared outside of block `{own}`, which sees its parameters and its \
                 own names only"
            ),
        })
    }

    /// Notes that something refers to a block.
    pub(super) fn refer(&mut self, block: usize) {
        self.blocks.all[block].used = true;
    }

    /// The block that a layer is declared as: `None` if it is another kind of layer, nothing in it
    /// if a mistake hides it.
    pub(super) fn block_of_layer(&mut self, layer: &Named) -> Option<Option<usize>> {
        let key = text(&layer.name);
        let message = match self.meaning(&key) {
            Some(Meaning::Block(block)) => {
                self.refer(block);
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
                // It may be a block whose declaration could not be read.
                (None, None) if self.scope.incomplete => return Some(None),
                (None, None) => return None,
            },
            Some(_) => return None,
        };
        self.mistake(Mistake::new(layer.name.span(), message));
        Some(None)
    }

    /// A use of a block, with the name that it has.
    pub(super) fn new_use(&mut self, name: Option<&str>, block: usize) -> (usize, String) {
        let kind = text(&self.blocks.all[block].block.name);
        let statement = Declaration::Module {
            name: name.map(|name| name.to_owned().into()),
            kind: kind.into(),
        };
        let place = self.blocks.all[block].block.name.span();
        let module = self.recorder.declare(statement, &Blame::on(place)).map_or(0, |m| m.start);
        let own = self.recorder.module_name(module).to_owned();
        let path = self.path(&own);
        self.blocks.uses.push(Use { block, module, path, members: Vec::new(), entered: false });
        (self.blocks.uses.len() - 1, own)
    }

    /// A use of a block that has no name.
    pub(super) fn unnamed_use(&mut self, block: usize, name: &Ident) -> Option<usize> {
        let made = self.member(|checker| {
            let (of, own) = checker.new_use(None, block);
            checker.trained.push(Trained {
                path: checker.path(&own),
                name: Ident::new(&own, name.span()),
                docs: checker.blocks.all[block].docs.clone(),
                array: None,
            });
            Member::Use(Some(of))
        });
        match made {
            Member::Use(of) => of,
            _ => None,
        }
    }

    /// A name as it is in the whole network.
    pub(super) fn path(&self, name: &str) -> String {
        match self.scope.inside {
            Some(inside) => format!("{}.{name}", self.blocks.uses[inside.of].path),
            None => name.into(),
        }
    }

    /// What a body makes next, or has made when the use was used before.
    pub(super) fn member(&mut self, make: impl FnOnce(&mut Self) -> Member) -> Member {
        let Some(inside) = &mut self.scope.inside else { return make(self) };
        let (of, at) = (inside.of, inside.members);
        inside.members += 1;
        if let Some(member) = self.blocks.uses[of].members.get(at) {
            return *member;
        }
        let member = make(self);
        self.blocks.uses[of].members.push(member);
        member
    }

    /// One more use, alternative or repetition; `false` where there are too many.
    pub(super) fn one_more(&mut self, place: Place) -> bool {
        self.blocks.work += 1;
        if self.blocks.work == MOST + 1 {
            let message = format!(
                "blocks, choices and repetitions make more than {MOST} parts of this network"
            );
            self.mistake(Mistake::new(place, message));
        }
        self.blocks.work <= MOST
    }

    /// The value of a block for some operands.
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
            Meaning::Use(of) => self.blocks.uses[of?].block,
            _ => return None,
        };
        let declared: &'a Block = self.blocks.all[block].block;
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
        let of = match meaning {
            Meaning::Use(of) => of?,
            _ => self.unnamed_use(block, name)?,
        };
        if !self.one_more(name.span().into()) {
            return None;
        }
        if self.depth + depth(declared) > DEEPEST {
            let message = format!("`{key}` is nested too deeply here: blocks use blocks");
            self.mistake(Mistake::new(name.span(), message));
            return None;
        }
        self.body(block, of, operands)
    }

    fn body(&mut self, block: usize, of: usize, operands: Vec<Operand>) -> Option<Value> {
        let Block { statements, parameters, value, incomplete, .. } = self.blocks.all[block].block;
        let given = parameters.iter().zip(&operands);
        let given: Vec<String> =
            given.map(|(name, x)| format!("`{}` is `{}`", text(name), x.text)).collect();
        let counts = operands.iter().all(|x| x.value.is_some());
        let (before, found) = (self.recorder.mistakes.len(), self.found());
        let mut scope = Scope::new(statements, *incomplete || self.network.incomplete);
        scope.inside = Some(Inside { block, of, members: 0 });
        let outer = std::mem::replace(&mut self.scope, scope);
        let Use { module, entered, .. } = &mut self.blocks.uses[of];
        let at = Blame::on(self.network.name.span());
        self.recorder.declare(Declaration::Enter { module: *module }, &at);
        if !std::mem::replace(entered, true) {
            self.reserve(statements);
        }
        for (name, x) in parameters.iter().zip(operands) {
            self.declare(name, Meaning::Value(x.value));
        }
        for statement in statements {
            self.statement(statement);
        }
        let gives = value.is_some();
        let value = value.as_ref().and_then(|x| self.value(x));
        if !self.scope.incomplete {
            let is_right = gives && self.found() == found;
            if is_right {
                self.unused_values(parameters);
            }
            self.unused_in(statements, is_right);
        }
        self.recorder.declare(Declaration::Leave {}, &at);
        self.scope = outer;
        let mistakes = self.recorder.mistakes.split_off(before);
        self.blocks.found += mistakes.len();
        self.blocks.all[block].note(mistakes, &given.join(", "), counts);
        value
    }

    /// How many mistakes there are, those in bodies as well.
    pub(super) fn found(&self) -> usize {
        self.recorder.mistakes.len() + self.blocks.found
    }

    /// Adds the mistakes in bodies to the others.
    pub(super) fn blame_blocks(&mut self) {
        for block in &mut self.blocks.all {
            for Fault { mut mistake, times, given, .. } in block.faults.drain(..) {
                if (1..block.times).contains(&times) && !given.is_empty() {
                    mistake.message += &format!(" (where {given})");
                }
                self.recorder.mistakes.push(mistake);
            }
        }
    }

    /// Blocks that nothing uses. What may only follow from another mistake is not told.
    pub(super) fn unused_blocks(&mut self) {
        let all = &self.blocks.all;
        let unsure = |b: &&Declared<'_>| !b.seen || b.block.incomplete || !b.faults.is_empty();
        let unsure: Vec<&Block> = all.iter().filter(unsure).map(|b| b.block).collect();
        let mut seen = HashSet::new();
        let mut mistakes = Vec::new();
        for Declared { block, used, .. } in all {
            let key = text(&block.name);
            let mentions = |other: &&Block| {
                !std::ptr::eq(*other, *block) && other.mentioned.iter().any(|n| text(n) == key)
            };
            let is_used = *used || self.scope.used.contains(&key) || unsure.iter().any(mentions);
            if seen.insert(key.clone()) && !is_used {
                let message = format!("block `{key}` is never used");
                mistakes.push(Mistake::new(block.name.span(), message));
            }
        }
        self.recorder.mistakes.extend(mistakes);
    }
}

impl Declared<'_> {
    /// Notes the mistakes that came of one use.
    fn note(&mut self, mistakes: Vec<Mistake>, given: &str, counts: bool) {
        let one = usize::from(counts);
        self.seen = true;
        self.times += one;
        let mut same: HashMap<String, usize> = HashMap::new();
        for mistake in mistakes {
            let count = same.entry(mistake.message.clone()).or_default();
            let before = *count;
            *count += 1;
            let known = |f: &&mut Fault| f.before == before && f.mistake.message == mistake.message;
            match self.faults.iter_mut().find(known) {
                Some(fault) => fault.times += one,
                None => {
                    let given = given.into();
                    self.faults.push(Fault { mistake, before, times: one, given });
                }
            }
        }
    }
}

fn is_block(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Block(_))
}

/// How deep the expressions of a body are.
fn depth(block: &Block) -> usize {
    let of = |statement: &Statement| match &statement.kind {
        StatementKind::Let { value, .. } | StatementKind::Several { value, .. } => value.depth,
        _ => 0,
    };
    let value = block.value.as_ref().map_or(0, |x: &Expr| x.depth);
    block.statements.iter().map(of).max().unwrap_or(0).max(value)
}
