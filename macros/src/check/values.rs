//! Checks expressions that are values of the network, and resolves names and calls.

use bilro_compiler::declaration::statement::Statement as CompilerStatement;
use bilro_compiler::declaration::{find_function, find_layer, wrong_count};
use bilro_compiler::error::nearest;
use bilro_compiler::layers::form;
use bilro_compiler::ops::{self, Attributes, Signature};
use proc_macro2::{Ident, TokenStream};

use super::arguments::number;
use super::recorder::{CallSpans, Operand, Value, listed};
use super::{Checker, Meaning, Trained, text};
use crate::ast::{Argument, Expr, ExprKind, Named};
use crate::error::{Mistake, SourceSpan};
use crate::parse::{is_prefix, without_prefix};

/// Messages shorten texts that are longer than this.
pub(super) const LONG: usize = 60;

/// The text of an expression in messages.
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

/// The meaning of a name that is called.
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
        Operand { value: self.value(x), text: show(x), span: x.span }
    }

    /// The value of an expression; `None` if a mistake hides it.
    pub(super) fn value(&mut self, x: &Expr) -> Option<Value> {
        let value = self.values(x)?;
        self.single(value, &show(x), x.span)
    }

    /// The values of an expression, which may be several outputs of a layer.
    pub(super) fn values(&mut self, x: &Expr) -> Option<Value> {
        self.depth += 1;
        let value = self.value_by_kind(x);
        self.depth -= 1;
        value
    }

    /// Requires a single value.
    pub(super) fn single(&mut self, value: Value, text: &str, span: SourceSpan) -> Option<Value> {
        if value.count == 1 {
            return Some(value);
        }
        let names: Vec<String> = (1..=value.count).map(|i| format!("y{i}")).collect();
        let message = format!(
            "`{text}` returns {} values: name them by `let ({}) = ...;`",
            value.count,
            names.join(", ")
        );
        self.mistake(Mistake::new(span, message));
        None
    }

    fn value_by_kind(&mut self, x: &Expr) -> Option<Value> {
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
            ExprKind::Not(mark, operand) => {
                let operand = self.operand(operand);
                self.operator("logical_not", *mark, vec![operand])
            }
            ExprKind::Binary(operator, span, a, b) => {
                let operands = vec![self.operand(a), self.operand(b)];
                self.operator(operator.function(), *span, operands)
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
            ExprKind::Index { x, ranges, brackets } => self.index(x, ranges, *brackets),
            ExprKind::Chain { first, links } => self.chain(first, links).value,
            ExprKind::Text(_) => {
                let message = format!("`{}` is a text, where a value is expected", show(x));
                self.mistake(Mistake::new(x.span, message));
                None
            }
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
                self.mistake(Mistake::new(x.span, message));
                None
            }
        }
    }

    /// The mistake of `F.relu(x)`, unless `F` is declared.
    fn prefixed(&self, before: &Expr, function: &Ident) -> Option<Mistake> {
        let ExprKind::Name(name) = &before.kind else { return None };
        let key = text(name);
        if !is_prefix(&key) || self.is_declared(&key) {
            return None;
        }
        let span = SourceSpan::from(name.span()).to(function.span().into());
        Some(without_prefix(span, &format!("{key}.{function}"), &text(function)))
    }

    fn number(&mut self, x: &Expr) -> Option<Value> {
        match number(x).filter(|x| (*x as f32).is_finite()) {
            Some(number) => {
                self.recorder.value(CompilerStatement::Number { number }, &CallSpans::at(x.span))
            }
            None => {
                let message = format!("`{}` is not a 32-bit floating-point number", show(x));
                self.mistake(Mistake::new(x.span, message));
                None
            }
        }
    }

    fn operator(
        &mut self,
        function: &str,
        call: SourceSpan,
        operands: Vec<Operand>,
    ) -> Option<Value> {
        let operand_spans: Vec<SourceSpan> = operands.iter().map(|x| x.span).collect();
        let spans = CallSpans { call, operands: &operand_spans, attributes: &[] };
        self.record_call(function, &operands, &Attributes::new(), &spans)
    }

    /// Calls a function or an operator. Silent if a mistake hides an operand.
    pub(super) fn record_call(
        &mut self,
        function: &str,
        operands: &[Operand],
        attributes: &Attributes,
        spans: &CallSpans<'_>,
    ) -> Option<Value> {
        let x = Operand::value_refs(operands)?;
        let (function, attributes) = (function.to_owned().into(), listed(attributes));
        self.recorder.value(CompilerStatement::Call { function, x, attributes }, spans)
    }

    /// Applies a layer. Silent if a mistake hides an operand.
    pub(super) fn apply(
        &mut self,
        layer: usize,
        x: Vec<Operand>,
        call: SourceSpan,
    ) -> Option<Value> {
        let operand_spans: Vec<SourceSpan> = x.iter().map(|x| x.span).collect();
        let spans = CallSpans { call, operands: &operand_spans, attributes: &[] };
        let x = Operand::value_refs(&x)?;
        self.recorder.value(CompilerStatement::Apply { layer, x }, &spans)
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
                self.mark_used(block);
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

    /// The meaning of a name that is called; a mistake if it cannot be called.
    pub(super) fn callee(&mut self, name: &Ident) -> Callee {
        let key = text(name);
        let (meaning, function) = (self.meaning(&key), find_function(&key));
        // A call of a function does not use a declaration of the same name, as in
        // `choice tanh = tanh | relu;`.
        if !matches!((meaning, &function), (None | Some(Meaning::Value(_)), Ok(_))) {
            self.scope.used.insert(key.clone());
        }
        let message = match (meaning, function) {
            (Some(Meaning::Layer(layer)), _) => return Callee::Layer(layer),
            (Some(Meaning::Choice(Some(choice))), _) => return Callee::Choice(choice),
            (Some(Meaning::Block(block)), _) => {
                self.mark_used(block);
                return Callee::Block(Meaning::Block(block));
            }
            (Some(Meaning::Use(Some(i))), _) => return Callee::Block(Meaning::Use(Some(i))),
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
                    // It may be a layer whose declaration could not be parsed.
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

    /// Calls a name whose meaning is known.
    pub(super) fn call_as(
        &mut self,
        callee: Callee,
        receiver: Option<Operand>,
        name: &Ident,
        arguments: &[Argument],
    ) -> Option<Value> {
        match callee {
            Callee::Layer(layer) => {
                let takes = layer.map_or(1, |layer| self.recorder.arity(layer).0);
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
                // Check arguments that can only be values; others may be attributes.
                for x in arguments.iter().filter(|a| a.name.is_none()).map(|a| &a.value) {
                    match x.inner().kind {
                        ExprKind::List(_)
                        | ExprKind::Text(_)
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

    /// The operands of a callee that takes `takes` values and no attributes.
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
            let values = if takes == 1 { "a value" } else { "values" };
            let message = format!("`{key}` takes {values} and no attributes: `{form}`");
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
        if form.is_spread() {
            return self.function_of_spread(receiver, name, form, &unnamed, &named);
        }
        if form.is_list {
            return self.function_of_list(receiver, name, form, &unnamed, &named);
        }
        let receivers = usize::from(receiver.is_some());
        let given = receivers + unnamed.len();
        let takes = form.operands.len();
        let (values, positional) =
            unnamed.split_at(takes.saturating_sub(receivers).min(unnamed.len()));
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
        if given < takes || positional.len() > form.attributes.len() {
            let most = takes + if given < takes { 0 } else { form.attributes.len() };
            let mut message = wrong_count(&key, most, given, &shown);
            if entry.name == "maximum" || entry.name == "minimum" {
                let name = &entry.name[..3];
                message += &format!("; over an axis it is `a{name}(x, axis = -1)`");
            }
            self.mistake(Mistake::new(name.span(), message));
            return None;
        }
        self.call_function(name, form, &operands, positional, &named)
    }

    /// Calls a function on operands, with attributes by position and by name.
    pub(super) fn call_function(
        &mut self,
        name: &Ident,
        form: &'static Signature,
        operands: &[Operand],
        positional: &[&Argument],
        named: &[&Argument],
    ) -> Option<Value> {
        let key = text(name);
        let names = form.attributes.iter().map(|a| a.name);
        let attributes: Vec<(&Argument, Option<&str>)> = positional
            .iter()
            .copied()
            .zip(names.map(Some))
            .chain(named.iter().map(|a| (*a, None)))
            .collect();
        let call = name.span().into();
        let (attributes, attribute_spans) =
            self.attributes(&key, call, form.attributes, &attributes, &form.show(&key))?;
        let operand_spans: Vec<SourceSpan> = operands.iter().map(|x| x.span).collect();
        let spans = CallSpans { call, operands: &operand_spans, attributes: &attribute_spans };
        self.record_call(&key, operands, &attributes, &spans)
    }

    /// Creates a layer from its kind and attributes.
    pub(super) fn new_layer(&mut self, name: Option<&str>, link: &Named) -> Option<usize> {
        let kind = text(&link.name);
        let call = SourceSpan::from(link.name.span());
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
        let (attributes, attribute_spans) =
            self.attributes(&kind, call, entry.attributes, &arguments, &entry.show())?;
        let spans = CallSpans { call, operands: &[], attributes: &attribute_spans };
        let statement = CompilerStatement::Layer {
            name: name.map(|name| name.to_owned().into()),
            kind: kind.into(),
            attributes: listed(&attributes),
        };
        let layer = self.recorder.declare(statement, &spans)?.start;
        if name.is_none() {
            let path = self.recorder.layer_name(layer).to_owned();
            let local = path.rsplit('.').next().unwrap_or(&path);
            self.trained.push(Trained {
                name: Ident::new(local, link.name.span()),
                path,
                docs: TokenStream::new(),
                array: None,
            });
        }
        Some(layer)
    }
}
