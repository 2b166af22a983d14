"""Keras 3 on torch: `fit` over arrays, compile and fit with their defaults but for the batch and the optimiser."""

import os
import time

os.environ["KERAS_BACKEND"] = "torch"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import keras
import networks
import torch
from keras import layers, ops


class VAE(keras.Model):
    def __init__(self, network):
        super().__init__()
        self.encode, self.decode = coder(network), decoder(network)

    def call(self, x):
        mean, log_variance = ops.split(self.encode(x), 2, axis=1)
        z = mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean))
        self.add_loss(ops.mean(ops.sum(0.5 * (ops.square(mean) + ops.exp(log_variance) - 1 - log_variance), axis=1)))
        return self.decode(z)


def coder(network):
    width = 2 * networks.LATENT[network]
    if network == "mlp":
        return keras.Sequential([layers.Flatten(), layers.Dense(512, "relu"), layers.Dense(width)])
    convolutions = [(32, 1), (64, 2), (64, 1), (64, 1)]
    hidden = [layers.Conv2D(n, 3, strides=stride, padding="same", activation="relu") for n, stride in convolutions]
    return keras.Sequential([*hidden, layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(width)])


def decoder(network):
    if network == "mlp":
        return keras.Sequential([layers.Dense(512, "relu"), layers.Dense(784), layers.Reshape((28, 28, 1))])
    return keras.Sequential([
        layers.Dense(12544, "relu"), layers.Reshape((14, 14, 64)),
        layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(1, 3, padding="same"),
    ])  # fmt: skip


def cross_entropy(x, logits):
    return ops.sum(ops.softplus(logits) - x * logits, axis=(1, 2, 3))


def main():
    train, test, network, epochs = networks.arguments()
    model = VAE(network)
    rule = {"mlp": keras.optimizers.Adam(1e-3), "conv": keras.optimizers.RMSprop(1e-3)}[network]
    model.compile(rule, loss=cross_entropy)
    x = train.permute(0, 2, 3, 1).numpy().astype("float32") / 255
    began = time.monotonic()
    model.fit(x, x, batch_size=128, epochs=epochs, verbose=0)
    seconds = time.monotonic() - began

    def minus_elbo(x):
        x = x.permute(0, 2, 3, 1)
        logits = model(x)
        return float(torch.sum(cross_entropy(x, logits)) + len(x) * model.losses[0])

    print(networks.report(train, epochs, seconds, test, minus_elbo))


main()
