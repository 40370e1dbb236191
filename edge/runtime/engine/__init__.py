"""TensorRT engines: what one is made for, how it is built in a process of its own, and when it must be built again."""
