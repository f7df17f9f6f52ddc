"""The paper's fully convolutional network on CIFAR-10: what `notebooks/convolutional.ipynb` trains."""
