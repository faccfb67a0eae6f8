"""Questions that no skill of the pool covers, to test that the service says so.

Two disjoint sets of topics and phrasings: one to learn from, one to be measured by.
"""

import random

TRAINING = (
    ("Write a poem about {}.", "Explain how {} works.", "Tell me the history of {}.", "What do you think about {}?",
     "Write an essay about {}.", "Who invented {}?", "Why is {} important?", "Give me advice about {}.",
     "Summarize what is known about {}.", "What are the risks of {}?", "Describe {} to a child.",
     "How did {} change the world?", "Translate the sentence 'I like {}' into Spanish.",
     "Write a function in Rust that models {}."),
    ("photosynthesis", "the French Revolution", "jazz music", "chess openings", "vaccines", "sailing", "black holes",
     "the Roman Empire", "coffee", "inflation", "gardening", "quantum computers", "whales", "the printing press",
     "Shakespeare", "volcanoes", "democracy", "machine learning", "the violin", "antibiotics", "mountain climbing",
     "electric cars", "ancient Egypt", "cheese", "depression", "contract law", "the human heart", "bicycles",
     "glaciers", "satire"))

HELD_OUT = (
    ("Compose a short story involving {}.", "Could you explain {} in simple words?", "What causes {}?",
     "I would like to learn about {}. Where should I begin?", "Draft an email to my boss about {}.",
     "Which books about {} would you recommend?", "Is {} good or bad for society?",
     "What is the capital city most associated with {}?", "How do experts study {}?",
     "Make a joke about {}.", "Compare {} with its main alternatives.", "Name a famous person known for {}."),
    ("migration of birds", "the Cold War", "opera", "nutrition", "thunderstorms", "the internet", "philosophy",
     "earthquakes", "fashion", "renewable energy", "the moon landing", "insomnia", "pottery", "tropical forests",
     "cryptography", "football", "stem cells", "urban planning", "meditation", "bread baking", "the Silk Road",
     "tax law", "coral reefs", "photography", "malaria", "medieval castles", "robots in hospitals", "tea"))


def outside(count, sets, seed):
    """`count` distinct questions of one of the two sets."""
    phrasings, topics = sets
    every = [p.format(t) for p in phrasings for t in topics]
    return random.Random(seed).sample(every, count)
