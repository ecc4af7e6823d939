//! Chains: a value through layers, blocks and functions.

use proc_macro2::Ident;

use super::recorder::{Operand, Value};
use super::values::{Callee, LONG, show};
use super::{Checker, Meaning, Member, text};
use crate::ast::{Element, Expr, Link, Named};
use crate::error::{Mistake, Place};
use bilro_compiler::declaration::find_layer;
use bilro_compiler::layers::form;

/// What an element of a chain stands for.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// A kind of layer: a new one.
    Kind,
    Called(Callee),
}

/// A chain as far as it has gone, repetitions written out.
struct Way {
    first: String,
    /// All of it, as long as that is short.
    full: String,
    last: Option<String>,
    start: Place,
}

impl Way {
    fn go(&mut self, link: &Named) {
        let link = link.to_string();
        if self.full.chars().count() <= LONG {
            self.full += &format!(" -> {link}");
        }
        self.last = Some(link);
    }

    /// As messages show it.
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
    /// What comes out at the end of a chain.
    pub(super) fn chain(&mut self, first: &Expr, links: &[Link]) -> Operand {
        let x = self.operand(first);
        let first_shown = show(first);
        let mut way =
            Way { full: first_shown.clone(), first: first_shown, last: None, start: first.place };
        let found = self.found();
        let mut y = self.links(x, links, &mut way);
        if let (Some(mistake), true) = (self.two_readings(first, links), self.found() == found) {
            self.mistake(mistake);
            y.value = None;
        }
        y
    }

    /// What is wrong with `x -> Linear(1) -> Tanh * 2`: at the end of a chain, one reads a product
    /// as well as a repetition. Blocks are there to be repeated, and in parentheses nothing else
    /// can be meant.
    fn two_readings(&self, first: &Expr, links: &[Link]) -> Option<Mistake> {
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
             {count}` to have it {count} times, or `({before} -> {named}) * {count}` for a product"
        );
        Some(Mistake::new(times.place, message))
    }

    fn links(&mut self, mut x: Operand, links: &[Link], way: &mut Way) -> Operand {
        for link in links {
            let count = link.times.map_or(1, |times| times.count);
            let found = self.found();
            for i in 0..count {
                // What is wrong once is wrong again.
                if i > 0 && self.found() > found {
                    x.value = None;
                    break;
                }
                if let Some(times) = link.times.filter(|_| i > 0)
                    && !self.one_more(times.place)
                {
                    x.value = None;
                    break;
                }
                if let Some(value) = x.value {
                    x.value = self.single(value, &x.text, x.place);
                }
                x = match &link.element {
                    Element::Group(links) => self.links(x, links, way),
                    Element::One(named) => {
                        let value = self.link(x, named);
                        way.go(named);
                        let place = way.start.to(named.name.span().into());
                        Operand { value, text: way.show(), place }
                    }
                };
            }
        }
        x
    }

    /// A value handed on to the next element of a chain.
    pub(super) fn link(&mut self, x: Operand, link: &Named) -> Option<Value> {
        let target = self.target(&link.name);
        self.link_to(target, x, link)
    }

    /// A value handed on to an element of which it is known what it stands for.
    pub(super) fn link_to(&mut self, target: Target, x: Operand, link: &Named) -> Option<Value> {
        if let Target::Called(callee) = target {
            let arguments = link.arguments.as_deref().unwrap_or_default();
            return self.call_as(callee, Some(x), &link.name, arguments);
        }
        let layer = match self.member(|checker| Member::Layer(checker.new_layer(None, link))) {
            Member::Layer(layer) => layer,
            _ => None,
        }?;
        let (takes, _) = self.recorder.ends(layer);
        if takes != 1 {
            let kind = text(&link.name);
            let own = kind.to_lowercase();
            let call = form(&own, takes);
            let message = format!(
                "`{kind}` takes {takes} values: give it a name, `layer {own} = {kind}(...);`, and \
                 call it as `{call}`"
            );
            self.mistake(Mistake::new(link.name.span(), message));
            return None;
        }
        self.apply(layer, vec![x], link.name.span().into())
    }

    /// What an element of a chain stands for. A name that is not declared yet is none so far: it
    /// may be a function's or a kind's.
    pub(super) fn target(&mut self, name: &Ident) -> Target {
        let key = text(name);
        let is_kind = key.starts_with(char::is_uppercase);
        // A kind of layer that there is not may be a name that is not seen here.
        let is_hidden = || {
            find_layer(&key).is_err() && (self.is_declared(&key) || self.outside(&key).is_some())
        };
        match self.meaning(&key).is_some() || !is_kind || is_hidden() {
            true => Target::Called(self.callee(name)),
            false => Target::Kind,
        }
    }
}
