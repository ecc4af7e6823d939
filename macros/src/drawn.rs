//! Tests on random networks: the text of each expands without a mistake, and declares the graph that
//! the text was printed from.

use bilro_tests::soak::campaign::Campaign;
use proc_macro2::TokenStream;

use crate::{check, parse};

#[test]
fn the_text_of_a_drawn_network_declares_its_graph() {
    let campaign = Campaign::new(1);
    for index in 0..400 {
        let network = campaign.network(index);
        let text = network.text();
        let tokens: TokenStream = text.parse().expect("balanced");
        let mut mistakes = Vec::new();
        let parsed = parse::parse(tokens, &mut mistakes);
        let checked = parsed.map(|parsed| check::check(&parsed, &mut mistakes));
        if let Some(mistake) = mistakes.first() {
            panic!("network {index}: {}\n{text}", mistake.message);
        }
        let declared = checked.and_then(|checked| checked.declaration);
        let declared = declared.expect("there is no mistake");
        // Both as text: the macro is built for the host, perhaps with another instance of the compiler.
        let [found, expected] =
            [declared.graph().to_string(), network.declaration().graph().to_string()];
        assert_eq!(found, expected, "network {index}\n{text}");
        let names: Vec<String> = declared.parameters.iter().map(|p| p.name.clone()).collect();
        let expected: Vec<String> =
            network.declaration().parameters.iter().map(|p| p.name.clone()).collect();
        assert_eq!(names, expected, "network {index}\n{text}");
    }
}
