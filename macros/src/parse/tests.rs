use super::*;
use crate::ast::ExprKind;

/// Parses a network: the network and the messages of its mistakes.
fn read(source: &str) -> (Option<ItemNetwork>, Vec<String>) {
    let mut mistakes = Vec::new();
    let network = parse(source.parse().expect("balanced"), &mut mistakes);
    (network, mistakes.into_iter().map(|m| m.message).collect())
}

/// Parses a loss: its text, and its text with all parentheses.
fn loss(source: &str) -> (String, String) {
    let (network, mistakes) = read(&format!("struct N {{ loss {source}; }}"));
    assert_eq!(mistakes, [""; 0], "{source}");
    let network = network.expect("a network");
    let StatementKind::Loss { sum, value } = &network.statements[0].kind else { panic!("a loss") };
    (format!("{}{value}", if *sum { "sum of " } else { "" }), grouped(value))
}

fn grouped(x: &crate::ast::Expr) -> String {
    match &x.kind {
        ExprKind::Paren(x) => grouped(x),
        ExprKind::Neg(_, x) => format!("(-{})", grouped(x)),
        ExprKind::Not(_, x) => format!("(!{})", grouped(x)),
        ExprKind::Binary(op, _, a, b) => {
            format!("({} {} {})", grouped(a), op.symbol(), grouped(b))
        }
        ExprKind::Call { receiver: Some(x), function, .. } => format!("{}.{function}", grouped(x)),
        ExprKind::Call { receiver: None, function, .. } => format!("{function}()"),
        ExprKind::Index { x, ranges, .. } => {
            let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            format!("{}[{}]", grouped(x), ranges.join(", "))
        }
        ExprKind::Chain { first, links } => {
            let links: Vec<_> = links.iter().map(|l| l.to_string()).collect();
            format!("({} -> {})", grouped(first), links.join(" -> "))
        }
        _ => x.to_string(),
    }
}

/// The mistakes in the body of a network.
fn mistakes(body: &str) -> Vec<String> {
    read(&format!("struct N {{ {body} }}")).1
}

#[test]
fn operators_bind_as_in_rust_and_chains_loosest() {
    assert_eq!(loss("a+b*c-d").1, "((a + (b * c)) - d)");
    assert_eq!(loss("-a*b").1, "((-a) * b)");
    assert_eq!(loss("-x.pow(2)").1, "(-x.pow)");
    assert_eq!(loss("(a + b) -> Linear(3) -> relu").1, "((a + b) -> Linear(3) -> relu)");
    assert_eq!(loss("a - -b").1, "(a - (-b))");
    assert_eq!(loss("2.pow(x)").1, "2.pow");
    assert_eq!(loss("a+b<=c*d").1, "((a + b) <= (c * d))");
    assert_eq!(loss("a|b&c+d|e").1, "((a | (b & (c + d))) | e)");
    assert_eq!(loss("a & b == c").1, "((a & b) == c)");
    assert_eq!(loss("a<-b").1, "(a < (-b))");
    assert_eq!(loss("!a.relu() & !!b").1, "((!a.relu) & (!(!b)))");
    assert_eq!(loss("where(a != b, a, b) * 2").0, "where(a != b, a, b) * 2");
}

#[test]
fn comparisons_are_not_chained() {
    let each = "expected the end of a comparison, found `>`: put each in parentheses, as in `(a > \
                0) & (b > 0)`; `&` and `|` bind tighter";
    assert_eq!(mistakes("loss a > 0 & b > 0;"), [each]);
    assert_eq!(mistakes("loss a < b > c;"), [each]);
    let shifts = "expected `;`, found `>`: there are no shifts of bits";
    assert_eq!(mistakes("loss a >> b;"), [shifts]);
    let no = "there is no operator `&&`: it is `a & b`, element by element";
    assert_eq!(mistakes("loss a && b;"), [no]);
    let both = "`a > b -> f` can be read in two ways: write `(a > b) -> f` or `a > (b -> f)`";
    assert_eq!(mistakes("loss a > b -> f;"), [both]);
    let order = "`where` is called as `where(condition, a, b)`: the order of `a.where(condition, b)` is \
                 another one";
    assert_eq!(mistakes("loss a.where(b, c);"), [order]);
}

#[test]
fn expressions_are_shown_as_written_with_even_spaces() {
    assert_eq!(loss("relu ( fc2(relu( fc1 (image)) ) )").0, "relu(fc2(relu(fc1(image))))");
    assert_eq!(loss("x*w+b").0, "x * w + b");
    assert_eq!(loss("x->Linear(128,bias=true)").0, "x -> Linear(128, bias = true)");
    assert_eq!(loss("x.sum(axis=-1).reshape([7,16])").0, "x.sum(axis = -1).reshape([7, 16])");
}

#[test]
fn sum_before_a_name_is_a_word_and_before_a_parenthesis_a_function() {
    assert_eq!(loss("sum x").0, "sum of x");
    assert_eq!(loss("sum 2.0 * x").0, "sum of 2.0 * x");
    assert_eq!(loss("sum(x)").0, "sum(x)");
    assert_eq!(loss("sum").0, "sum");
    assert_eq!(loss("sum * 2").0, "sum * 2");
}

/// Ambiguous forms are refused, with both readings in the message.
#[test]
fn forms_with_two_readings_are_refused_with_both() {
    assert_eq!(loss("sum: (p - y).square()").0, "sum of (p - y).square()");
    assert_eq!(loss("sum: -x + y").1, "((-x) + y)");
    assert_eq!(loss("mean: (p - y).square()").0, "(p - y).square()");
    assert_eq!(loss("mean x").0, "x");
    // Spans have no positions in tests: no space between the word and the parenthesis is known.
    assert_eq!(loss("sum(p - y).square()").1, "sum().square");
    for (body, both) in [
        ("loss sum -x;", ["`loss sum: -x;`", "`loss (sum -x);`"]),
        ("loss mean - x * y;", ["`loss mean: -x * y;`", "`loss (mean -x * y);`"]),
        ("loss x + x -> f -> g;", ["`(x + x) -> f`", "`x + (x -> f)`"]),
        ("loss a * b - c -> f;", ["`(a * b - c) -> f`", "`a * b - (c -> f)`"]),
        ("loss -x -> f;", ["`(-x) -> f`", "`-(x -> f)`"]),
        ("loss f(2 * x -> g);", ["`(2 * x) -> g`", "`2 * (x -> g)`"]),
    ] {
        let mistakes = mistakes(body);
        let [mistake] = &mistakes[..] else { panic!("{body}: {mistakes:?}") };
        assert!(both.iter().all(|reading| mistake.contains(reading)), "{body}: {mistake}");
    }
}

#[test]
fn a_mistake_does_not_affect_other_statements() {
    let source = "struct N { let a = ; output b = relu(x); let = 3; loss b; }";
    let (network, mistakes) = read(source);
    assert_eq!(mistakes, ["expected an expression, found `;`", "expected a name, found `=`"]);
    assert_eq!(network.expect("a network").statements.len(), 4);
}

#[test]
fn missing_semicolons_are_reported_before_the_next_statement() {
    let one = ["expected `;` after this"];
    assert_eq!(mistakes("let a = relu(x) output b = a; loss b;"), one);
    assert_eq!(mistakes("let a = relu(x)\n /// The output.\n output b = a; loss b;"), one);
    assert_eq!(mistakes("let a = relu(x); loss a"), one);
}

#[test]
fn misspelt_keywords_are_replaced_by_the_nearest() {
    let (network, mistakes) = read("struct N { ouput y = x; }");
    assert!(mistakes[0].contains("no statement `ouput`; did you mean `output`?"), "{mistakes:?}");
    let network = network.expect("a network");
    assert!(matches!(network.statements[0].kind, StatementKind::Output { .. }));
}

#[test]
fn unexpected_tokens_are_reported_where_they_start() {
    let all = "`input`, `target`, `param`, `layer`, `choice`, `let`, `block`, `output`, `loss`, \
               `metric`";
    for (body, message) in [
        ("input x [2];", "expected `:`, found `[`: as in `input image: [784];`".to_string()),
        (
            "input x: 784;",
            "expected a type: `[784]`, `class(10)` or `index(100)[16]`, found `784`".into(),
        ),
        ("input x: class;", "`class` takes the number of classes, as in `class(10)`".into()),
        ("let x = f(a b);", "expected `,` or `)`, found `b`".into()),
        ("let x = (a;);", "expected `)`, found `;`".into()),
        ("let x = a b;", "expected `;`, found `b`".into()),
        (
            "let x = a.b;",
            "expected `(` after `b`, found `;`: a function is called as `x.b()`".into(),
        ),
        (
            "let match = a;",
            "expected a name, found `match`, which is a keyword of Rust: another name is needed, or \
             `r#match`"
                .into(),
        ),
        ("let x = a -> ;", "expected a layer or a function, found `;`".into()),
        (
            "let x = \"a\";",
            "expected an expression, found `\"a\"`: words are written without quotes, as `a`".into(),
        ),
        (
            "let x = ((a -> relu) + 1) -> relu + 2;",
            "expected `->` or the end, found `+`: put the chain in parentheses to use its value"
                .into(),
        ),
        ("= 3;", format!("expected a statement (the statements are {all}), found `=`")),
        ("stage f(x);", format!("there is no statement `stage` (the statements are {all})")),
        ("#[cfg(a)] let x = y;", "only doc comments are allowed before a statement".into()),
    ] {
        assert_eq!(mistakes(body), [message], "{body}");
    }
}

#[test]
fn after_a_link_a_star_repeats_and_before_it_multiplies() {
    for (source, shown) in [
        ("(x * 2) -> Linear(3)", "((x * 2) -> Linear(3))"),
        ("x -> Linear(3) * 2", "(x -> Linear(3) * 2)"),
        ("x->(Linear(3)->ReLU)*2->f", "(x -> (Linear(3) -> ReLU) * 2 -> f)"),
        ("x -> ((f * 2 -> g) * 3 -> h)", "(x -> ((f * 2 -> g) * 3 -> h))"),
        ("(x -> f * 2) * 3", "((x -> f * 2) * 3)"),
        ("(2 * (x -> f)) -> g * 1", "((2 * (x -> f)) -> g * 1)"),
    ] {
        assert_eq!(loss(source).1, shown);
    }
    let often = "after a link `*` repeats it, as in `x -> (Linear(8) -> ReLU) * 3`, and Rust's \
                 constants are not known here; to multiply the value of a chain, put the chain in \
                 parentheses";
    let found =
        |item: &str| format!("expected a number of repetitions, an integer, found {item}: {often}");
    for (source, message) in [
        ("x -> f * N", found("`N`")),
        ("x -> f * 1.5", found("`1.5`")),
        ("x -> f * -2", found("`-`")),
        ("x -> f * (2)", found("`(`")),
        ("x -> f * { 2 }", found("`{`")),
        ("x -> f *", "expected a number of repetitions, as `* 3`, found `;`".into()),
        ("x -> f * 0", "a link is repeated at least once, not 0 times".into()),
        ("x -> f * 1001", "a link is repeated at most 1000 times, not 1001 times".into()),
        (
            "x -> f * 99999999999999999999",
            "a link is repeated at most 1000 times, not 99999999999999999999 times".into(),
        ),
        (
            "x -> f * 2 * 3",
            "expected `->` or the end, found `*`: put the chain in parentheses to use its value"
                .into(),
        ),
        ("x -> ()", "expected a layer or a function, found `)`".into()),
        ("x -> (f g)", "expected `->` or `)`, found `g`".into()),
        ("x -> (f + g)", "expected `->` or `)`, found `+`".into()),
    ] {
        assert_eq!(mistakes(&format!("loss {source};")), [message], "{source}");
    }
}

#[test]
fn blocks_end_at_their_braces() {
    let source = "let a = x; /// Adds.
        block f(x, y,) { layer g = Linear(3); let loss = x -> g; /// It.
            loss + y }
        block h() { 1 }; loss f(a, a);";
    let (network, mistakes) = read(&format!("struct N {{ {source} }}"));
    assert_eq!(mistakes, [""; 0]);
    let statements = network.expect("a network").statements;
    assert_eq!(statements.len(), 4);
    let StatementKind::Block(f) = &statements[1].kind else { panic!("a block") };
    assert_eq!(f.parameters, ["x", "y"]);
    assert_eq!(f.statements.len(), 2);
    assert_eq!(f.value.as_ref().map(ToString::to_string).as_deref(), Some("loss + y"));
    assert!(!statements[1].docs.is_empty());
}

#[test]
fn mistakes_in_blocks_are_reported_at_their_tokens() {
    let all = "(the statements of a block are `param`, `layer`, `let`)";
    let form = "a block is declared as `block residual(x) { ... }`";
    for (body, message) in [
        ("block f { x }", format!("expected `(`, found `{{`: {form}")),
        ("block f(x);", format!("expected `{{`, found `;`: {form}")),
        ("block (x) { x }", "expected a name, found `(`".into()),
        ("block f(3) { 3 }", "expected the name of a value, found `3`".into()),
        ("block f(x y) { x }", "expected `,` or `)`, found `y`".into()),
        (
            "block f(x: [3]) { x }",
            "expected `,` or `)`, found `:`: parameters of a block have no types: shapes come from each \
             use"
            .into(),
        ),
        (
            "block f(x) { }",
            "`f` has no value: the value is its last expression, without `;`".into(),
        ),
        (
            "block f(x) { let y = x; }",
            "`f` has no value: the value is its last expression, without `;`".into(),
        ),
        (
            "block f(x) { relu(x); }",
            "the value of a block is its last expression, without `;`".into(),
        ),
        ("block f(x) { x y }", format!("there is no statement `x` {all}")),
        ("block f(x) { relu(x) + }", "expected an expression, found `}`".into()),
        ("block f(x) { relu(x) 3 }", "expected an operator or `}`, found `3`".into()),
        ("block f(x) { let y = x }", "expected `;` after this".into()),
        ("block f(x) { loss x; x }", format!("`loss` cannot be in a block {all}")),
        ("block f(x) { block g(y) { y } g(x) }", format!("`block` cannot be in a block {all}")),
        ("block f(x) { lte y = x; y }", "there is no statement `lte`; did you mean `let`?".into()),
        ("let a = x block f(x) { x }", "expected `;` after this".into()),
    ] {
        assert_eq!(mistakes(body), [message], "{body}");
    }
    let misspelt = mistakes("blok f(x) { x } loss f(y);");
    assert_eq!(misspelt.len(), 1, "{misspelt:?}");
    assert!(misspelt[0].contains("did you mean `block`?"), "{misspelt:?}");
}

#[test]
fn the_outside_must_be_a_struct() {
    assert!(read("").1[0].starts_with("a network is declared as `pub struct Name"));
    assert!(read("enum N {}").1[0].starts_with("expected `struct`: a network"));
    assert!(read("struct N;").1[0].starts_with("expected `{`: a network"));
    assert!(read("struct N<T> {}").1[0].starts_with("a network is generic over sizes"));
    assert!(read("struct N<const M: u8> {}").1[0].starts_with("a network is generic over sizes"));
    assert!(read("struct N {} struct M {}").1[0].starts_with("`network!` declares one network"));
    assert_eq!(read("struct N {};").1, ["a network ends with its braces, without `;`"]);
    assert!(read("struct").1[0].starts_with("expected a name after `struct`: a network"));
    assert_eq!(
        read("struct type {}").1,
        ["expected a name, found `type`, which is a keyword of Rust: another name is needed, or \
             `r#type`"]
    );
    assert!(read("#![allow(x)] struct N {}").1[0].contains("go before its `struct`"));
    assert_eq!(read("struct N<const A: usize, const A: usize> {}").1, ["`A` is declared twice"]);
}

#[test]
fn a_doc_comment_at_the_end_is_a_mistake() {
    let message = "a doc comment (`///`) documents the statement after it, but there is none";
    assert_eq!(mistakes("loss x; /// Nothing.\n"), [message]);
    assert_eq!(mistakes("loss x; /// Nothing.\n /// At all.\n"), [message]);
}
