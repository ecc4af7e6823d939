//! Checks chains: applies layers, blocks and functions to a value, link by link.

use proc_macro2::Ident;

use super::recorder::{Operand, Value};
use super::values::{Callee, LONG, show};
use super::{Checker, Meaning, Member, text};
use crate::ast::{Element, Expr, Link, Named};
use crate::error::{Mistake, SourceSpan};
use bilro_compiler::declaration::find_layer;
use bilro_compiler::layers::form;

/// The meaning of an element of a chain.
#[derive(Clone, Copy)]
pub(super) enum LinkTarget {
    /// A kind of layer, of which the link creates a new one.
    NewLayer,
    Callee(Callee),
}

/// The text of a chain up to the current link, with repetitions written out.
struct ChainText {
    first: String,
    /// The full text, until it exceeds [`LONG`].
    full: String,
    last: Option<String>,
    start: SourceSpan,
}

impl ChainText {
    fn push(&mut self, link: &Named) {
        let link = link.to_string();
        if self.full.chars().count() <= LONG {
            self.full += &format!(" -> {link}");
        }
        self.last = Some(link);
    }

    /// The text in messages.
    fn show(&self) -> String {
        match &self.last {
            Some(last) if self.full.chars().count() > LONG => {
                format!("{} -> ... -> {last}", self.first)
            }
            _ => self.full.clone(),
        }
    }
}

impl Checker<'_> {
    /// The value of a chain.
    pub(super) fn chain(&mut self, first: &Expr, links: &[Link]) -> Operand {
        let x = self.operand(first);
        let first_shown = show(first);
        let mut text_so_far = ChainText {
            full: first_shown.clone(),
            first: first_shown,
            last: None,
            start: first.span,
        };
        let mistakes_before = self.mistake_count();
        let mut y = self.links(x, links, &mut text_so_far);
        if let (Some(mistake), true) =
            (self.ambiguous_repetition(first, links), self.mistake_count() == mistakes_before)
        {
            self.mistake(mistake);
            y.value = None;
        }
        y
    }

    /// The mistake of `x -> Linear(1) -> Tanh * 2`: at the end of a chain, `*` may be meant as a
    /// product or as a repetition. A block or a group in parentheses is not ambiguous.
    fn ambiguous_repetition(&self, first: &Expr, links: &[Link]) -> Option<Mistake> {
        let Link { element: Element::One(named), times: Some(times) } = links.last()? else {
            return None;
        };
        if matches!(self.meaning(&text(&named.name)), Some(Meaning::Block(_) | Meaning::Use(_))) {
            return None;
        }
        let before = match links.len() {
            1 => show(first),
            _ => "...".into(),
        };
        let count = times.count;
        let message = format!(
            "`{named} * {count}` at the end of a chain can be read in two ways: write `({named}) * \
             {count}` to repeat it {count} times, or `({before} -> {named}) * {count}` for a product"
        );
        Some(Mistake::new(times.span, message))
    }

    fn links(&mut self, mut x: Operand, links: &[Link], text_so_far: &mut ChainText) -> Operand {
        for link in links {
            let count = link.times.map_or(1, |times| times.count);
            let mistakes_before = self.mistake_count();
            for i in 0..count {
                // Report the mistakes of a repetition once.
                if i > 0 && self.mistake_count() > mistakes_before {
                    x.value = None;
                    break;
                }
                if let Some(times) = link.times.filter(|_| i > 0)
                    && !self.count_expansion(times.span)
                {
                    x.value = None;
                    break;
                }
                if let Some(value) = x.value {
                    x.value = self.single(value, &x.text, x.span);
                }
                x = match &link.element {
                    Element::Group(links) => self.links(x, links, text_so_far),
                    Element::One(named) => {
                        let value = self.link(x, named);
                        text_so_far.push(named);
                        let span = text_so_far.start.to(named.name.span().into());
                        Operand { value, text: text_so_far.show(), span }
                    }
                };
            }
        }
        x
    }

    /// Applies the next element of a chain.
    pub(super) fn link(&mut self, x: Operand, link: &Named) -> Option<Value> {
        let target = self.link_target(&link.name);
        self.link_to(target, x, link)
    }

    /// Applies an element of a chain whose meaning is known.
    pub(super) fn link_to(
        &mut self,
        target: LinkTarget,
        x: Operand,
        link: &Named,
    ) -> Option<Value> {
        if let LinkTarget::Callee(callee) = target {
            let arguments = link.arguments.as_deref().unwrap_or_default();
            return self.call_as(callee, Some(x), &link.name, arguments);
        }
        let layer = match self.member(|checker| Member::Layer(checker.new_layer(None, link))) {
            Member::Layer(layer) => layer,
            _ => None,
        }?;
        let (takes, _) = self.recorder.arity(layer);
        if takes != 1 {
            let kind = text(&link.name);
            let name = kind.to_lowercase();
            let call = form(&name, takes);
            let message = format!(
                "`{kind}` takes {takes} values: give it a name, `layer {name} = {kind}(...);`, and \
                 call it as `{call}`"
            );
            self.mistake(Mistake::new(link.name.span(), message));
            return None;
        }
        self.apply(layer, vec![x], link.name.span().into())
    }

    /// The meaning of an element of a chain. A name that is declared only later does not count: it
    /// may be a function or a kind of layer.
    pub(super) fn link_target(&mut self, name: &Ident) -> LinkTarget {
        let key = text(name);
        let is_kind = key.starts_with(char::is_uppercase);
        // An unknown kind of layer may be a name that is not visible here.
        let is_hidden = || {
            find_layer(&key).is_err() && (self.is_declared(&key) || self.outside(&key).is_some())
        };
        match self.meaning(&key).is_some() || !is_kind || is_hidden() {
            true => LinkTarget::Callee(self.callee(name)),
            false => LinkTarget::NewLayer,
        }
    }
}
