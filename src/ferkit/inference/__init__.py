"""Pictures to expressions; NumPy, OpenCV and ONNX Runtime, never torch."""
