"""Images to vectors: learned encoders that run on ONNX, and the color-histogram baseline."""
