"""What a training was and did, as one page or as tables. No torch.

``material`` gathers it from the store or from a folder, ``figures`` draws it, ``page`` writes the
HTML file, ``tables`` the CSV and JSON.
"""
