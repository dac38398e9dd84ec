/** The issues of one message, a hundred at most. `isFull` tells a check that it can stop. */
import { maxIssues, maxSuggestions } from './bounds.ts';
import { nearestWord } from './nearest-word.ts';
import type { MessageIssue, MessageRule, Suggest } from './rules.ts';

export interface IssueList {
  readonly found: readonly MessageIssue[];
  /** Passed over once the list is full. */
  add(...issues: readonly MessageIssue[]): void;
  say(field: string, rule: MessageRule, message: string): void;
  /** Further issues would not be listed. */
  isFull(): boolean;
  /** Compares words a few times, and then no more: the comparison costs more than all the rest. */
  readonly suggest: Suggest;
}

export function createIssueList(): IssueList {
  const found: MessageIssue[] = [];
  let suggestions = 0;
  const add = (...issues: readonly MessageIssue[]): void => {
    for (const issue of issues) {
      if (found.length >= maxIssues) return;
      found.push(issue);
    }
  };
  return {
    found,
    add,
    say: (field, rule, message) => add({ field, rule, message }),
    isFull: () => found.length >= maxIssues,
    suggest(word, known) {
      if (suggestions >= maxSuggestions) return null;
      suggestions += 1;
      return nearestWord(word, known);
    },
  };
}
