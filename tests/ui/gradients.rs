//! Gradients of inputs that have none.
use bilro::{Network, network};

network! {
    struct Asked {
        input i: index(3) grad;
        input x: [2] grad;
        input z: [2] gard;
        target y: [2] grad;
        param w: [2] grad = zeros;
        output p = x * w;
        loss mse_loss(p, y);
    }
}

network! {
    struct Line {
        input x: [2];
        input z: [2] grad;
        target y: [2];
        layer norm = BatchNorm1d();
        output p = norm(x) + z;
        loss mse_loss(p, y);
    }
}

fn main() {
    let mut model = Line::model().build().unwrap();
    let x = bilro::ndarray::Array2::zeros((2, 2));
    let batch = line::Batch { x: x.view(), z: x.view(), y: x.view() };
    let gradients = model.gradients(batch).unwrap();
    let _ = gradients.x;
    let _ = gradients.norm.running_mean.sum();
}
