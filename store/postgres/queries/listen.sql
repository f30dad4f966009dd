LISTEN pando
