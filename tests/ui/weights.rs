//! Weighted losses that are used otherwise than as terms.

bilro::network! {
    struct Rooted {
        input x: [3];
        target y: class(3);
        output s = x -> Linear(3);
        let own = cross_entropy(s, y, weight = [1, 2, 3]);
        loss own + 2 * own.sqrt();
    }
}

bilro::network! {
    struct Masked {
        input x: [4, 3];
        input mask: [4];
        target y: class(3)[4];
        block kind(s) { s -> Linear(3) }
        output s = x -> kind;
        let own = cross_entropy(s, y, ignore_index = 0);
        loss own * mask;

        metric average = cross_entropy(s, y, ignore_index = 0).mean();
        metric perplexity = exp(nll_loss(s.log_softmax(), y, ignore_index = 0));
        metric both = accuracy(s, y, ignore_index = 0) * accuracy(s, y, ignore_index = 0);
        metric odds = 1 / top_k_accuracy(s, y, 2, ignore_index = 0);
        metric share = accuracy(s, y, ignore_index = 0) / mask;
        metric error = 1 - accuracy(s, y, ignore_index = 0);
        metric greater = maximum(cross_entropy(s, y, ignore_index = 0), 1);
    }
}

bilro::network! {
    struct Summed {
        input x: [4, 3];
        target y: class(3)[4];
        output s = x -> Linear(3);
        loss sum mean(cross_entropy(s, y, ignore_index = 0));
    }
}

fn main() {}
