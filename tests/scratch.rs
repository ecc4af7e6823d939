use bilro_compiler::codegen::isa::Isa;
use bilro_compiler::ops;
use bilro_tests::check;
#[test]
fn scratch() {
    let e = ops::ALL.iter().find(|e| e.name == "matmul").unwrap();
    let s = (e.samples)(1).remove(7);
    let c = check::case(&s, 3, 1073);
    println!("{}", c.graph);
    let l = check::lowered(&c, &Isa::CLIF);
    println!("{}", l.fused.graph);
    for k in &l.fused.kernels {
        println!("{k}");
    }
    for t in &l.fused.tensors {
        println!("{:?}", t);
    }
    for p in &l.programs {
        println!("{p}");
    }
}
