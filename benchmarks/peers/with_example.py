"""The manner of the public PyTorch VAE example: a DataLoader, PIL for each image, a loss fetched at every step."""

import time

import networks
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Images(Dataset):
    """An image at a time: to PIL, to bytes, to floats, as torchvision's MNIST with `ToTensor` does."""

    def __init__(self, images):
        self.images = images.squeeze(1).numpy()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = Image.fromarray(self.images[i])
        raw = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        return raw.view(1, image.height, image.width).float().div(255), 0


def main():
    train, test, network, epochs = networks.arguments()
    model = networks.VAE(network)
    optimiser = networks.optimiser(network, model.parameters())
    loader = DataLoader(Images(train), batch_size=128, shuffle=True)
    began = time.monotonic()
    for _ in range(epochs):
        total = 0.0
        for x, _ in loader:
            optimiser.zero_grad()
            loss = model(x)
            loss.backward()
            total += loss.item()
            optimiser.step()
    seconds = time.monotonic() - began
    print(networks.report(train, epochs, seconds, test, lambda x: model(x).item()))


main()
