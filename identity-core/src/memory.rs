//! RAM lent to the agent.
