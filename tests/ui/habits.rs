//! Forms of other languages, above all Python: each message has the equivalent here.
use bilro::network;

network! {
    struct Operators {
        input x: [2];
        target y: [2];
        let a = x ** 2;
        let b = x.pow(2) ** 0.5 + x;
        let c = x @ y;
        let d = x ^ 2;
        let e = x > 0 & y < 0;
        let f = relu(x < y < 2);
        let g = x % 2;
        let h = x && y;
        let i = not x;
        let j = x if y else x;
        let k = if x { y } else { x };
        let n = ~x;
        let o = x || y;
        let p = x >> 1;
        let q = x.where(x > 0, y) + where x > 0;
        loss x;
    }
}

network! {
    struct Fields {
        input x: [2];
        layer fc = Linear(2);
        let a = x.matmul(fc.weight);
        let b = x.T;
        let c = x.shape;
        let d = x.grad;
        let e = x.values;
        let f = fc(x);
        loss x;
    }
}

network! {
    struct Modules {
        input x: [2];
        let a = F.relu(x);
        let b = torch.relu(x);
        let c = torch.nn.functional.relu(x);
        let d = self.fc(x);
        let e = x -> nn.Linear(3) -> F.relu;
        let f = nn.Linear(3)(x);
        let g = fc(3)(x);
        layer fc = nn.Linear(784, 128);
        choice act = F.relu | torch.tanh;
        loss x;
    }
}

network! {
    struct Statements {
        input x: [2];
        fc1 = nn.Linear(2, 3);
        fc2 = Linear(2, 3);
        y = relu(x);
        self.fc3 = nn.Linear(2, 3);
        y += x;
        let mut z = x;
        return y;
        import torch;
        def forward(self, x);
        for i in range(3);
        if x > 0;
        print(x);
        loss = relu(x);
    }
}

network! {
    struct Keywords {
        input x: [2];
        target y: [2];
        target class: class(2);
        layer fc1 = Linear(2, 3, bias = False);
        layer fc2 = Linear(in_feature = 2, out_features = 3);
        layer fc3 = Linear(2, 3, device = cpu);
        let a = mse_loss(x, y, reduction = "sum");
        let b = gelu(x, approximate = "tanh");
        let c = softmax(x, dim = 1);
        let d = x.sum(axis = 0, keepdim = True);
        let e = x -> ReLU(inplace = true) -> Dropout(0.5, inplace = true);
        let f = x.sum(axs = 0);
        let g = cross_entropy(x, class, weight = None);
        loss fc1(x) + fc2(x) + fc3(x);
    }
}

network! {
    struct Functions {
        input x: [2];
        target y: [2];
        let a = x.view(-1, 784);
        let b = x.unsqueeze(0) + x.flatten();
        let c = x.mm(y) + x.t() + cat(x, y);
        let d = x.max(axis = 0);
        let e = x.size(0) + x.argmax(0) + x.detach();
        let f = x.norm() + masked_select(x, y);
        let g = x -> Conv2d(3) -> LazyLinear(3) -> CrossEntropyLoss;
        loss x;
    }
}

network! {
    struct Gradients {
        input x: [2] grda;
        loss x;
    }
}

fn main() {}
