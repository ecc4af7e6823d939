//! Losses and metrics with mismatched attributes.

bilro::network! {
    struct Losses {
        input x: [4];
        target class: class(3);
        target other: [4];

        output logits = x -> Linear(3);
        let p = logits.log_softmax();
        loss cross_entropy(logits, class, weight = [0.2, 0.8]);

        metric a = nll_loss(p, class, weight = [0.2, 0.3, x]);
        metric b = cross_entropy(logits, class, ignore_index = 3);
        metric c = cross_entropy(logits, other);
        metric d = cross_entropy(x, other, ignore_index = 0);
        metric e = cross_entropy(logits, class, label_smoothing = 1.5);
        metric f = binary_cross_entropy_with_logits(x, other, pos_weight = [1.0, 2.0]);
        metric g = multi_margin_loss(logits, class, p = 3);
        metric h = huber_loss(x, other, delta = 0);
        metric i = cosine_embedding_loss(x, other, other);
        metric j = kl_div(p, other);
        metric top_k_accuracy(logits, class, k = 4);
        metric k = top_k_accuracy(logits, class, k = -1);
        metric l = x.var(unbiased = 1);
    }
}

fn main() {}
