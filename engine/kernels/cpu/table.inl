// engine/kernels/cpu/table.inl — Collects the functions of one instruction set. Included last.

DotKernel find_dot(formats::TensorType type) {
  using formats::TensorType;
  switch (type) {
    case TensorType::f32: return {&dot_float<LoadF32>, ActivationFormat::f32};
    case TensorType::f16: return {&dot_float<LoadF16>, ActivationFormat::f32};
    case TensorType::bf16: return {&dot_float<LoadBf16>, ActivationFormat::f32};
    case TensorType::q8_0: return {&dot_quant<Family32<TypeQ8_0>>, ActivationFormat::q8_32};
    case TensorType::q4_0: return {&dot_quant<Family32<TypeQ4_0>>, ActivationFormat::q8_32};
    case TensorType::q4_k: return {&dot_quant<FamilyMins<TypeQ4_K>>, ActivationFormat::q8_256};
    case TensorType::q5_k: return {&dot_quant<FamilyMins<TypeQ5_K>>, ActivationFormat::q8_256};
    case TensorType::q6_k: return {&dot_quant<FamilyQ6>, ActivationFormat::q8_256};
    default: return {};
  }
}

constexpr IsaTable make_table(const char* name) {
  IsaTable table;
  table.name = name;
  table.row_tile = 16;
  table.find_dot = &find_dot;
  table.quantize_32 = &quantize_32;
  table.quantize_256 = &quantize_256;
  table.rms_norm = &rms_norm;
  table.add = &add_rows;
  table.add_scaled = &add_scaled;
  table.silu_mul = &silu_mul;
  table.to_f16 = &to_f16;
  table.attention_scratch_bytes = &attention_scratch_bytes;
  table.attention = &attention;
  return table;
}
