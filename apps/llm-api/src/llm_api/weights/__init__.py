"""Where weights come from, and what makes them servable. No settings, no torch: conversion runs in a process of its own."""
