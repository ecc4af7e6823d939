//! Expressions that are values of the network.

use bilro_compiler::declaration::statement::Statement as Declaration;
use bilro_compiler::declaration::{find_function, find_layer, wrong_count};
use bilro_compiler::error::nearest;
use bilro_compiler::layers::form;
use bilro_compiler::ops::{self, Attributes};
use proc_macro2::{Ident, TokenStream};

use super::arguments::number;
use super::recorder::{Blame, Operand, Value, listed};
use super::{Checker, Meaning, Trained, text};
use crate::ast::{Argument, Expr, ExprKind, Named};
use crate::error::{Mistake, Place};
use crate::parse::{is_prefix, without_prefix};

/// Longer texts are shortened in messages.
pub(super) const LONG: usize = 60;

/// An expression as messages show it.
pub(super) fn show(x: &Expr) -> String {
    let x = x.inner();
    let full = x.to_string();
    match &x.kind {
        _ if full.chars().count() <= LONG => full,
        ExprKind::Call { receiver: None, function, .. } => format!("{function}(...)"),
        ExprKind::Call { function, .. } => format!("... .{function}(...)"),
        ExprKind::Chain { links, .. } => match links.last() {
            Some(last) => format!("... -> {last}"),
            None => full,
        },
        _ => full.chars().take(LONG).chain("...".chars()).collect(),
    }
}

/// What a name that is called stands for.
#[derive(Clone, Copy)]
pub(super) enum Callee {
    Layer(Option<usize>),
    Choice(usize),
    /// A block, or a use of one.
    Block(Meaning),
    Function,
    /// A mistake has been reported.
    Hidden,
}

impl Checker<'_> {
    pub(super) fn operand(&mut self, x: &Expr) -> Operand {
        Operand { value: self.value(x), text: show(x), place: x.place }
    }

    /// The value of an expression; `None` if a mistake hides it.
    pub(super) fn value(&mut self, x: &Expr) -> Option<Value> {
        let value = self.values(x)?;
        self.single(value, &show(x), x.place)
    }

    /// The same where there may be several, as a layer gives them.
    pub(super) fn values(&mut self, x: &Expr) -> Option<Value> {
        self.depth += 1;
        let value = self.kind_of_value(x);
        self.depth -= 1;
        value
    }

    /// Requires what is one value.
    pub(super) fn single(&mut self, value: Value, text: &str, at: Place) -> Option<Value> {
        if value.count == 1 {
            return Some(value);
        }
        let names: Vec<String> = (1..=value.count).map(|i| format!("y{i}")).collect();
        let message = format!(
            "`{text}` gives {} values, which get their names by `let ({}) = ...;`",
            value.count,
            names.join(", ")
        );
        self.mistake(Mistake::new(at, message));
        None
    }

    fn kind_of_value(&mut self, x: &Expr) -> Option<Value> {
        match &x.kind {
            ExprKind::Number { .. } => self.number(x),
            ExprKind::Name(name) => self.named(name),
            ExprKind::Paren(x) => self.values(x),
            ExprKind::Neg(minus, operand) => {
                if matches!(operand.inner().kind, ExprKind::Number { .. }) {
                    return self.number(x);
                }
                let operand = self.operand(operand);
                self.operator("neg", *minus, vec![operand])
            }
            ExprKind::Binary(operator, place, a, b) => {
                let operands = vec![self.operand(a), self.operand(b)];
                self.operator(operator.function(), *place, operands)
            }
            ExprKind::Call { receiver: Some(before), function, .. }
                if let Some(mistake) = self.prefixed(before, function) =>
            {
                self.mistake(mistake);
                None
            }
            ExprKind::Call { receiver, function, arguments } => {
                let receiver = receiver.as_deref().map(|x| self.operand(x));
                self.call(receiver, function, arguments)
            }
            ExprKind::Chain { first, links } => self.chain(first, links).value,
            ExprKind::Flag(_) | ExprKind::Path(_) | ExprKind::Rust { .. } | ExprKind::List(_) => {
                let message = match x.kind {
                    ExprKind::List(_) => {
                        format!("`{}` is a list, where a value of the network is expected", show(x))
                    }
                    _ => format!(
                        "`{}` is not a value of the network: Rust's constants stand for sizes only",
                        show(x)
                    ),
                };
                self.mistake(Mistake::new(x.place, message));
                None
            }
        }
    }

    /// The answer to `F.relu(x)`, unless there is something called `F`.
    fn prefixed(&self, before: &Expr, function: &Ident) -> Option<Mistake> {
        let ExprKind::Name(name) = &before.kind else { return None };
        let key = text(name);
        if !is_prefix(&key) || self.is_declared(&key) {
            return None;
        }
        let place = Place::from(name.span()).to(function.span().into());
        Some(without_prefix(place, &format!("{key}.{function}"), &text(function)))
    }

    fn number(&mut self, x: &Expr) -> Option<Value> {
        match number(x).filter(|x| (*x as f32).is_finite()) {
            Some(number) => {
                self.recorder.value(Declaration::Number { number }, &Blame::on(x.place))
            }
            None => {
                let message = format!("`{}` is not a 32-bit floating-point number", show(x));
                self.mistake(Mistake::new(x.place, message));
                None
            }
        }
    }

    fn operator(&mut self, function: &str, at: Place, operands: Vec<Operand>) -> Option<Value> {
        let places: Vec<Place> = operands.iter().map(|x| x.place).collect();
        let blame = Blame { call: at, operands: &places, attributes: &[] };
        self.record_call(function, &operands, &Attributes::new(), &blame)
    }

    /// A function or an operator. Silent where an operand is hidden.
    fn record_call(
        &mut self,
        function: &str,
        operands: &[Operand],
        attributes: &Attributes,
        blame: &Blame<'_>,
    ) -> Option<Value> {
        let x = Operand::all_given(operands)?;
        let (function, attributes) = (function.to_owned().into(), listed(attributes));
        self.recorder.value(Declaration::Call { function, x, attributes }, blame)
    }

    /// A layer on values. Silent where one is hidden.
    pub(super) fn apply(&mut self, layer: usize, x: Vec<Operand>, call: Place) -> Option<Value> {
        let places: Vec<Place> = x.iter().map(|x| x.place).collect();
        let blame = Blame { call, operands: &places, attributes: &[] };
        let x = Operand::all_given(&x)?;
        self.recorder.value(Declaration::Apply { layer, x }, &blame)
    }

    fn named(&mut self, name: &Ident) -> Option<Value> {
        let key = text(name);
        self.scope.used.insert(key.clone());
        let message = match self.meaning(&key) {
            Some(Meaning::Value(value)) => return value,
            Some(Meaning::Unknown) => return None,
            Some(Meaning::Layer(_)) => format!("`{key}` is a layer: use it as `{key}(x)`"),
            Some(Meaning::Choice(_)) => format!("`{key}` is a choice: use it as `{key}(x)`"),
            Some(Meaning::Block(block)) => {
                self.refer(block);
                format!("`{key}` is a block: use it as `{key}(x)`")
            }
            Some(Meaning::Use(_)) => format!("`{key}` is a use of a block: use it as `{key}(x)`"),
            None if self.scope.declared.contains(&key) => {
                format!("`{key}` is used before it is declared")
            }
            None if self.scope.incomplete => return None,
            None if let Some(form) = find_function(&key).ok().and_then(|f| f.call) => {
                let operands = form.operands.join(", ");
                format!("`{key}` is a function: call it as `{key}({operands})`")
            }
            None => {
                let is_value = |m| matches!(m, Meaning::Value(_) | Meaning::Unknown);
                let near = nearest(&key, self.names(is_value));
                match (self.outside(&key), near) {
                    (Some(message), _) => message,
                    (None, Some(near)) => {
                        format!("there is no value `{key}`; did you mean `{near}`?")
                    }
                    (None, None) if key.chars().all(|c| !c.is_lowercase()) => {
                        format!("there is no value `{key}`: Rust's constants stand for sizes only")
                    }
                    (None, None) => {
                        let is_callee = |m| !matches!(m, Meaning::Value(_) | Meaning::Unknown);
                        let mut callees = self.names(is_callee);
                        ops::names().for_each(|name| callees.push(name));
                        let near = nearest(&key, callees);
                        let near = near.map(|near| format!("; did you mean `{near}(...)`?"));
                        format!("there is no value `{key}`{}", near.unwrap_or_default())
                    }
                }
            }
        };
        self.mistake(Mistake::new(name.span(), message));
        None
    }

    /// What a name stands for where it is called; a mistake if it cannot be.
    pub(super) fn callee(&mut self, name: &Ident) -> Callee {
        let key = text(name);
        let (meaning, function) = (self.meaning(&key), find_function(&key));
        // A function is no use of what has the same name, as in `choice tanh = tanh | relu;`.
        if !matches!((meaning, &function), (None | Some(Meaning::Value(_)), Ok(_))) {
            self.scope.used.insert(key.clone());
        }
        let message = match (meaning, function) {
            (Some(Meaning::Layer(layer)), _) => return Callee::Layer(layer),
            (Some(Meaning::Choice(Some(choice))), _) => return Callee::Choice(choice),
            (Some(Meaning::Block(block)), _) => {
                self.refer(block);
                return Callee::Block(Meaning::Block(block));
            }
            (Some(Meaning::Use(Some(of))), _) => return Callee::Block(Meaning::Use(Some(of))),
            (Some(Meaning::Unknown | Meaning::Use(None) | Meaning::Choice(None)), _) => {
                return Callee::Hidden;
            }
            (_, Ok(_)) => return Callee::Function,
            (Some(Meaning::Value(_)), Err(_)) => {
                format!("`{key}` is a value, not a function or a layer")
            }
            (None, Err(_)) if self.scope.declared.contains(&key) => {
                format!("`{key}` is used before it is declared")
            }
            (None, Err(mistake)) => {
                let is_callee = |m| !matches!(m, Meaning::Value(_) | Meaning::Unknown);
                match (self.outside(&key), nearest(&key, self.names(is_callee))) {
                    (Some(message), _) => message,
                    (None, Some(near)) => {
                        format!("there is no layer or function `{key}`; did you mean `{near}`?")
                    }
                    // It may be a layer whose declaration could not be read.
                    (None, None) if self.scope.incomplete => return Callee::Hidden,
                    (None, None) => mistake.message,
                }
            }
        };
        self.mistake(Mistake::new(name.span(), message));
        Callee::Hidden
    }

    pub(super) fn call(
        &mut self,
        receiver: Option<Operand>,
        name: &Ident,
        arguments: &[Argument],
    ) -> Option<Value> {
        let callee = self.callee(name);
        self.call_as(callee, receiver, name, arguments)
    }

    /// A call of a name, of which it is known what it stands for.
    pub(super) fn call_as(
        &mut self,
        callee: Callee,
        receiver: Option<Operand>,
        name: &Ident,
        arguments: &[Argument],
    ) -> Option<Value> {
        match callee {
            Callee::Layer(layer) => {
                let takes = layer.map_or(1, |layer| self.recorder.ends(layer).0);
                let x = self.only_operands(receiver, name, arguments, takes)?;
                self.apply(layer?, x, name.span().into())
            }
            Callee::Choice(choice) => {
                let x = self.only_operands(receiver, name, arguments, 1)?;
                self.choose(choice, x.first()?, name.span().into())
            }
            Callee::Block(meaning) => {
                let mut operands: Vec<Operand> = receiver.into_iter().collect();
                operands.extend(arguments.iter().map(|a| self.operand(&a.value)));
                let named = arguments.iter().find_map(|a| a.name.as_ref());
                self.call_block(name, meaning, operands, named)
            }
            Callee::Function => self.function(receiver, name, arguments),
            Callee::Hidden => {
                // What cannot be a value may have been meant as something else.
                for x in arguments.iter().filter(|a| a.name.is_none()).map(|a| &a.value) {
                    match x.inner().kind {
                        ExprKind::List(_)
                        | ExprKind::Flag(_)
                        | ExprKind::Path(_)
                        | ExprKind::Rust { .. } => {}
                        _ => {
                            self.value(x);
                        }
                    }
                }
                None
            }
        }
    }

    /// The operands of what takes so many values and nothing else.
    fn only_operands(
        &mut self,
        receiver: Option<Operand>,
        name: &Ident,
        arguments: &[Argument],
        takes: usize,
    ) -> Option<Vec<Operand>> {
        let mut operands: Vec<Operand> = receiver.into_iter().collect();
        operands.extend(arguments.iter().map(|a| self.operand(&a.value)));
        let key = text(name);
        let form = form(&key, takes);
        if let Some(named) = arguments.iter().find_map(|a| a.name.as_ref()) {
            let what = if takes == 1 { "a value" } else { "values" };
            let message = format!("`{key}` takes {what} and nothing else: `{form}`");
            self.mistake(Mistake::new(named.span(), message));
            return None;
        }
        if operands.len() != takes {
            let message = wrong_count(&key, takes, operands.len(), &form);
            self.mistake(Mistake::new(name.span(), message));
            return None;
        }
        Some(operands)
    }

    fn function(
        &mut self,
        receiver: Option<Operand>,
        name: &Ident,
        arguments: &[Argument],
    ) -> Option<Value> {
        let key = text(name);
        let entry = ops::find(&key)?;
        let form = entry.call?;
        let shown = form.show(&key);
        let (unnamed, named): (Vec<&Argument>, Vec<&Argument>) =
            arguments.iter().partition(|a| a.name.is_none());
        let first = usize::from(receiver.is_some());
        let given = first + unnamed.len();
        let takes = form.operands.len();
        let (values, rest) = unnamed.split_at(takes.saturating_sub(first).min(unnamed.len()));
        let mut operands: Vec<Operand> = receiver.into_iter().collect();
        operands.extend(values.iter().map(|a| self.operand(&a.value)));
        if let Some(operand) = named
            .iter()
            .filter_map(|a| a.name.as_ref())
            .find(|n| form.operands.iter().any(|o| n == o))
        {
            let message = format!("`{operand}` is given without its name: `{shown}`");
            self.mistake(Mistake::new(operand.span(), message));
            return None;
        }
        if given < takes || rest.len() > form.attributes.len() {
            let most = takes + if given < takes { 0 } else { form.attributes.len() };
            let mut message = wrong_count(&key, most, given, &shown);
            if entry.name == "maximum" || entry.name == "minimum" {
                let of = &entry.name[..3];
                message += &format!("; over an axis it is `a{of}(x, axis = -1)`");
            }
            self.mistake(Mistake::new(name.span(), message));
            return None;
        }
        let names = form.attributes.iter().map(|a| a.name);
        let attributes: Vec<(&Argument, Option<&str>)> = rest
            .iter()
            .copied()
            .zip(names.map(Some))
            .chain(named.iter().map(|a| (*a, None)))
            .collect();
        let call = name.span().into();
        let (attributes, places) =
            self.attributes(&key, call, form.attributes, &attributes, &shown)?;
        let operand_places: Vec<Place> = operands.iter().map(|x| x.place).collect();
        let blame = Blame { call, operands: &operand_places, attributes: &places };
        self.record_call(&key, &operands, &attributes, &blame)
    }

    /// A layer made from its kind and attributes.
    pub(super) fn new_layer(&mut self, name: Option<&str>, link: &Named) -> Option<usize> {
        let kind = text(&link.name);
        let call = Place::from(link.name.span());
        let entry = match find_layer(&kind) {
            Ok(entry) => entry,
            Err(mistake) => {
                self.mistake(Mistake::new(call, mistake.message));
                return None;
            }
        };
        let arguments = link.arguments.as_deref().unwrap_or_default();
        let (unnamed, named): (Vec<&Argument>, Vec<&Argument>) =
            arguments.iter().partition(|a| a.name.is_none());
        let positional = match entry.positional(unnamed.len()) {
            Ok(names) => names,
            Err(mistake) => {
                self.mistake(Mistake::new(call, mistake.message));
                return None;
            }
        };
        let arguments: Vec<(&Argument, Option<&str>)> = unnamed
            .into_iter()
            .zip(positional.iter().copied().map(Some))
            .chain(named.into_iter().map(|a| (a, None)))
            .collect();
        let (attributes, places) =
            self.attributes(&kind, call, entry.attributes, &arguments, &entry.show())?;
        let blame = Blame { call, operands: &[], attributes: &places };
        let statement = Declaration::Layer {
            name: name.map(|name| name.to_owned().into()),
            kind: kind.into(),
            attributes: listed(&attributes),
        };
        let layer = self.recorder.declare(statement, &blame)?.start;
        if name.is_none() {
            let path = self.recorder.layer_name(layer).to_owned();
            let own = path.rsplit('.').next().unwrap_or(&path);
            self.trained.push(Trained {
                name: Ident::new(own, link.name.span()),
                path,
                docs: TokenStream::new(),
                array: None,
            });
        }
        Some(layer)
    }
}
