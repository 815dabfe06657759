"""How the alerts do on traffic as it really is: made-up histories, judged by the rules; who is paged, and when."""
